//! The JSON schema of the file, made from the model.

use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use crate::model::Model;

/// The JSON schema of the file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Model);
    RecursiveTransform(as_toml).transform(&mut schema);
    schema.to_value()
}

/// The JSON schema of the file as text, for `openmile schema`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// TOML has no null, and a description is a paragraph, not lines.
fn as_toml(schema: &mut Schema) {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    for key in ["type", "anyOf"] {
        let Some(Value::Array(variants)) = schema.get_mut(key) else { continue };
        variants.retain(|variant| !is_null(variant));
        let [one] = variants.as_slice() else { continue };
        let one = one.clone();
        schema.remove(key);
        match one {
            Value::Object(members) => {
                members.into_iter().for_each(|(key, value)| drop(schema.insert(key, value)))
            }
            one => drop(schema.insert(key.to_owned(), one)),
        }
    }
}
