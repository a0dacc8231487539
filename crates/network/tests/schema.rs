//! The JSON schema: it is made from the model, and knows every key that the reader knows.

use serde_json::Value;

/// The schema that a reference leads to, or the value itself; where a number or a word may stand, the one that is wanted.
fn resolve<'s>(schema: &'s Value, mut value: &'s Value, number: bool) -> &'s Value {
    loop {
        let variants = value.get("anyOf").or_else(|| value.get("oneOf")).and_then(Value::as_array);
        let mut variants = variants.into_iter().flatten();
        if let Some(variant) = variants.clone().find(|variant| number && kind(variant, "integer")) {
            return variant;
        }
        let inner = variants.find(|variant| variant.get("$ref").is_some());
        let Some(reference) = inner.unwrap_or(value).get("$ref").and_then(Value::as_str) else {
            return value;
        };
        value = schema.pointer(reference.trim_start_matches('#')).unwrap();
    }
}

/// Holds a value of a file against its schema: every key is known and described.
fn covers(schema: &Value, part: &Value, value: &toml::Value, path: &str) {
    let part = resolve(schema, part, value.is_integer());
    match value {
        toml::Value::Table(table) => {
            assert_eq!(part["additionalProperties"], false, "{path} takes unknown keys");
            for (key, value) in table {
                let property = &part["properties"][key];
                assert!(property.is_object(), "the schema does not know {path}.{key}");
                assert!(property["description"].is_string(), "{path}.{key} is not described");
                covers(schema, property, value, &format!("{path}.{key}"));
            }
            for key in part["required"].as_array().into_iter().flatten() {
                assert!(table.contains_key(key.as_str().unwrap()), "{path} lacks {key}");
            }
        }
        toml::Value::Array(items) => {
            items.iter().for_each(|item| covers(schema, &part["items"], item, &format!("{path}[]")));
        }
        toml::Value::String(_) => {
            let enumerated = part["oneOf"].is_array() || part["enum"].is_array();
            assert!(enumerated || kind(part, "string"), "{path} is no string: {part}");
        }
        toml::Value::Integer(number) => {
            assert!(kind(part, "integer"), "{path} is no integer: {part}");
            assert!(part["minimum"].as_i64().is_none_or(|minimum| *number >= minimum), "{path}");
            assert!(part["maximum"].as_i64().is_none_or(|maximum| *number <= maximum), "{path}");
        }
        toml::Value::Boolean(_) => assert!(kind(part, "boolean"), "{path} is no boolean: {part}"),
        other => panic!("{path}: no key takes {other}"),
    }
}

fn kind(part: &Value, kind: &str) -> bool {
    part["type"] == kind || part["type"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
}

#[test]
fn the_schema_covers_the_examples() {
    let schema = network::schema();
    let full = include_str!("full.toml");
    for text in [
        full,
        include_str!("../../../examples/lab.toml"),
        include_str!("../../../examples/three-machines.toml"),
    ] {
        covers(&schema, &schema, &toml::from_str(text).unwrap(), "");
    }
    // The file with every key in it is one that can be read, so the reader knows no fewer keys …
    let network = network::Network::parse("full.toml", full).unwrap();
    assert!(network.warnings().is_empty(), "{}", network.warnings().render(false));
    // … and the schema knows no more keys than that file has.
    let known: Vec<_> = keys(&schema).into_iter().filter(|key| !full.contains(key.as_str())).collect();
    assert!(known.is_empty(), "tests/full.toml lacks {known:?}");
}

fn keys(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(object) = value.as_object() {
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            all.extend(properties.keys().cloned());
        }
        all.extend(object.values().flat_map(keys));
    }
    all
}

#[test]
fn the_schema_is_stable() {
    insta::assert_snapshot!(network::schema_text());
}

/// The reference names every key, and its example can be read.
#[test]
fn the_reference_is_complete() {
    let reference = include_str!("../../../docs/network-file.md");
    for key in keys(&network::schema()) {
        let named = [format!("`{key}`"), format!("[{key}]"), format!(".{key}]")]
            .iter()
            .any(|name| reference.contains(name));
        assert!(named, "docs/network-file.md does not say what `{key}` is");
    }
    let example = reference.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let network = network::Network::parse("docs/network-file.md", example);
    assert!(network.is_ok_and(|network| network.warnings().is_empty()));
}
