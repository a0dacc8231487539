//! `openmile package-files`: what a package holds besides the program, and the program itself knows best.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use miette::{IntoDiagnostic, WrapErr};

use super::Cli;

/// The program's name.
const NAME: &str = "openmile";

/// Writes man pages, shell completions and the network file's schema into a folder.
pub(super) fn write(dir: &Path) -> miette::Result<()> {
    let failed = || format!("cannot write into {}", dir.display());
    files(dir).into_diagnostic().wrap_err_with(failed)
}

fn files(dir: &Path) -> std::io::Result<()> {
    // Pages of commands that were renamed since the last time are not to be packaged.
    let man = dir.join("man");
    match std::fs::remove_dir_all(&man) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(&man)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let path = clap_complete::generate_to(shell, &mut Cli::command(), NAME, dir)?;
        tracing::debug!("{}", path.display());
    }
    std::fs::write(dir.join("network.schema.json"), network::schema_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_and_hidden_ones_have_none() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let page = |name: &str| dir.path().join("man").join(name);
        assert!(page("openmile.1").exists() && page("openmile-run.1").exists());
        assert!(!page("openmile-forwarder.1").exists());
        for file in ["openmile.bash", "_openmile", "openmile.fish", "network.schema.json"] {
            let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(text.contains("network"), "{file}");
        }
        let run = std::fs::read_to_string(page("openmile-run.1")).unwrap();
        assert!(run.contains("watchdog"), "{run}");
    }
}
