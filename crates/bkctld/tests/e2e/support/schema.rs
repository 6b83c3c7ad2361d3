//! Holds documents against `docs/json.schema.json`. It knows the part of JSON Schema that ours uses and stops at
//! any other word, so that nothing passes because it was not understood. (The crates that know all of it bring
//! many others.) More strictly than JSON Schema it demands that the schema has each field of a document.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.schema.json");
    serde_json::from_slice(&std::fs::read(path).expect("the schema")).expect("the schema is JSON")
});

/// What is wrong with a document of `--json`, a line for each fault.
pub fn faults(document: &Value) -> Vec<String> {
    let command = document["command"].as_str().unwrap_or_default();
    match definition(command) {
        Some(schema) => check(schema, document, command),
        None => vec![format!("no command '{command}' in the schema")],
    }
}

/// Whether the command answers with what became of each jail.
pub fn acts_on_jails(command: &str) -> bool {
    let acts = |schema: &Value| schema["properties"].get("results").is_some();
    let schema = definition(command).unwrap_or_else(|| panic!("no command '{command}' in the schema"));
    acts(schema) || schema["anyOf"].as_array().is_some_and(|documents| documents.iter().any(acts))
}

fn definition(name: &str) -> Option<&'static Value> {
    SCHEMA["$defs"].get(name)
}

fn referred(reference: &Value) -> &'static Value {
    let name = reference.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
    name.and_then(definition).unwrap_or_else(|| panic!("the schema has no {reference}"))
}

/// The value against the schema, and whether the schema has each of its fields.
fn check(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut faults = apply(schema, value, at);
    if let (Value::Object(object), Some(known)) = (value, known_fields(schema, value)) {
        let unknown = object.keys().filter(|name| !known.contains(name.as_str()));
        faults.extend(unknown.map(|name| format!("{at}.{name} is not in the schema")));
    }
    faults
}

fn apply(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Value::Object(words) = schema else { return Vec::new() };
    words.iter().flat_map(|(word, argument)| apply_word(words, word, argument, value, at)).collect()
}

fn apply_word(
    schema: &Map<String, Value>,
    word: &str,
    argument: &Value,
    value: &Value,
    at: &str,
) -> Vec<String> {
    let demand = |holds: bool| {
        if holds { Vec::new() } else { vec![format!("{at} is {value}, but {word} is {argument}")] }
    };
    let list = || argument.as_array().map(Vec::as_slice).unwrap_or_default();
    match word {
        "$ref" => apply(referred(argument), value, at),
        "type" if argument.is_array() => demand(list().iter().any(|name| is_of_type(value, name))),
        "type" => demand(is_of_type(value, argument)),
        "const" => demand(value == argument),
        "enum" => demand(list().contains(value)),
        "minimum" => demand(value.as_f64().is_none_or(|number| Some(number) >= argument.as_f64())),
        "maximum" => demand(value.as_f64().is_none_or(|number| Some(number) <= argument.as_f64())),
        "required" => list()
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| value.is_object() && value.get(name).is_none())
            .map(|name| format!("{at}.{name} is missing"))
            .collect(),
        "properties" => argument
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, schema)| Some((name, schema, value.get(name)?)))
            .flat_map(|(name, schema, value)| check(schema, value, &format!("{at}.{name}")))
            .collect(),
        "additionalProperties" => value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| schema.get("properties").is_none_or(|known| known.get(name).is_none()))
            .flat_map(|(name, value)| check(argument, value, &format!("{at}.{name}")))
            .collect(),
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|value| check(argument, value, &format!("{at}[]")))
            .collect(),
        "allOf" => list().iter().flat_map(|schema| apply(schema, value, at)).collect(),
        // Whether the fields are those of a choice that fits is seen by `check`.
        "anyOf" | "oneOf" if list().iter().any(|schema| apply(schema, value, at).is_empty()) => Vec::new(),
        "anyOf" | "oneOf" => list().iter().flat_map(|schema| apply(schema, value, at)).collect(),
        "$schema" | "$defs" | "title" | "description" | "format" | "default" => Vec::new(),
        _ => panic!("the tests do not know '{word}', which the schema has"),
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the tests do not know the type '{other}', which the schema has"),
    }
}

/// The fields that the schema has for this object; none where it may have any.
fn known_fields(schema: &Value, value: &Value) -> Option<BTreeSet<String>> {
    let words = schema.as_object()?;
    if words.get("additionalProperties").is_some_and(|argument| argument != false) {
        return None;
    }
    let mut known: BTreeSet<String> =
        words.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
    if let Some(reference) = words.get("$ref") {
        known.extend(known_fields(referred(reference), value)?);
    }
    let parts = |word: &str| words.get(word).and_then(Value::as_array).into_iter().flatten();
    let chosen = parts("anyOf").chain(parts("oneOf")).filter(|schema| apply(schema, value, "").is_empty());
    for schema in parts("allOf").chain(chosen) {
        known.extend(known_fields(schema, value)?);
    }
    Some(known)
}
