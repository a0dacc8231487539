//! A crate exists only where it lets the compiler forbid a dependency: this holds what each may depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate may depend on, of our own (`docs/decisions.md`, "Crates").
const ALLOWED: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("contract", &["wire"]),
    ("forward", &["wire", "contract"]),
    ("ldp", &["wire", "contract"]),
    ("neighbor", &["wire", "contract"]),
    ("subscriber", &["wire", "contract"]),
    ("network", &["wire", "contract"]),
    ("port", &["wire"]),
    ("api", &["wire", "contract"]),
    ("", &["wire", "contract", "forward", "ldp", "neighbor", "subscriber", "network", "port", "api"]),
];

/// What no sans-I/O crate may depend on: nothing that asks the machine for time, waits or opens anything.
const NO_IO: &[&str] = &["tokio", "rustix", "libc", "mio", "rtnetlink", "hyper", "axum"];
const SANS_IO: &[&str] = &["wire", "contract", "forward", "ldp", "neighbor", "subscriber"];

#[test]
fn crates_depend_on_one_another_only_as_decided() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.keys().map(|name| short(name)).collect();
    assert_eq!(ours, ALLOWED.iter().map(|(name, _)| *name).collect(), "every crate has a line in ALLOWED");
    for (package, dependencies) in &packages {
        let (_, allowed) = ALLOWED.iter().find(|(name, _)| *name == short(package)).unwrap();
        for dependency in dependencies {
            if let Some(name) = dependency.strip_prefix("openmile-") {
                assert!(allowed.contains(&name), "{package} may not depend on {dependency}");
            }
            let io = SANS_IO.contains(&short(package)) && NO_IO.contains(&dependency.as_str());
            assert!(!io, "{package} is sans-I/O and may not depend on {dependency}");
        }
    }
}

fn short(package: &str) -> &str {
    package.strip_prefix("openmile").unwrap_or(package).trim_start_matches('-')
}

/// The workspace's packages with the names of what they depend on, tests apart.
fn packages() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), dependencies)
        })
        .collect()
}
