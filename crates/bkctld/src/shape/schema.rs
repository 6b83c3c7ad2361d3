//! The JSON Schema of all documents, `docs/json.schema.json`, made from the types. It is shipped for those who
//! read the documents by a program, and the tests hold it against `docs/json.md` and against what the program
//! prints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Command, Subcommand};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::outcome::{Nothing, Results};
use super::*;
use crate::commands;

/// Writes the file anew: `BKCTLD_WRITE=1 cargo test -p bkctld schema`.
const WRITE: &str = "BKCTLD_WRITE";

/// The documents of each command.
fn documents(generator: &mut SchemaGenerator) -> BTreeMap<&'static str, Vec<Value>> {
    let mut documents = Documents { generator, of: BTreeMap::new() };
    documents.add::<list::Names>(&["list"]);
    documents.add::<is_on::State>(&["is-on"]);
    documents.add::<jail_version::Format>(&["jail-version"]);
    documents.add::<log::Log<std::vec::IntoIter<String>>>(&["log"]);
    documents.add::<client::Script>(&["client"]);
    documents.add::<key::Keys>(&["key"]);
    documents.add::<ip::Addresses>(&["ip"]);
    documents.add::<port::JailPort>(&["port"]);
    documents.add::<status::Statuses>(&["status"]);
    documents.add::<report::Report>(&["report"]);
    documents.add::<stats::Stats>(&["stats"]);
    documents.add::<metrics::Families>(&["metrics"]);
    documents.add::<check::Findings<'_>>(&["check-jails", "check-incs", "check-canary", "check-setup"]);
    documents.add::<Results<protection::LockableIncs>>(&["inc-lock", "inc-unlock"]);
    documents.add::<Results<upgrade_config::Changes>>(&["upgrade-config"]);
    documents.add::<Results<Nothing>>(&["start", "stop", "restart", "reload", "remove"]);
    documents.add::<Results<init::NewJail>>(&["init"]);
    documents.add::<Results<rename::Renamed>>(&["rename"]);
    documents.add::<Results<archive::Archived>>(&["archive"]);
    documents.add::<Results<convert_v2::Steps>>(&["convert-v2"]);
    documents.add::<Results<key::NewKeys>>(&["key"]);
    documents.add::<Results<ip::NewAddresses>>(&["ip"]);
    documents.add::<Results<port::NewPort>>(&["port"]);
    documents.add::<Results<inc::NewInc>>(&["inc"]);
    documents.add::<Results<rm::Decisions>>(&["rm"]);
    documents.add::<Results<update::Updated>>(&["update"]);
    documents.add::<Results<sync::Nodes>>(&["sync"]);
    documents.add::<Results<firewall::Admitted, firewall::Rules<'_>>>(&["firewall"]);
    documents.of
}

struct Documents<'g> {
    generator: &'g mut SchemaGenerator,
    of: BTreeMap<&'static str, Vec<Value>>,
}

impl Documents<'_> {
    /// These commands answer with this.
    fn add<T: JsonSchema>(&mut self, commands: &[&'static str]) {
        for command in commands {
            let mut document = T::json_schema(self.generator).to_value();
            document["properties"]["version"] = json!({ "const": VERSION });
            document["properties"]["command"] = json!({ "const": command });
            let required = document["required"].as_array().cloned().unwrap_or_default();
            document["required"] = [vec![json!("version"), json!("command")], required].concat().into();
            self.of.entry(command).or_default().push(document);
        }
    }
}

/// The whole schema. The definition of a command's name is its document.
fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let documents = documents(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let mut all = Vec::new();
    // They are comments for us. docs/json.md says what the fields mean.
    definitions.values_mut().for_each(remove_descriptions);
    for (command, mut documents) in documents {
        all.push(json!({ "$ref": format!("#/$defs/{command}") }));
        documents.iter_mut().for_each(remove_descriptions);
        let document = if documents.len() == 1 { documents.remove(0) } else { json!({ "anyOf": documents }) };
        definitions.insert(command.to_owned(), document);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bkctld --json",
        "description": "One document for each run; docs/json.md says what the fields mean.",
        "oneOf": all,
        "$defs": definitions,
    })
}

fn remove_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("description").is_some_and(Value::is_string) {
                object.remove("description");
            }
            object.values_mut().for_each(remove_descriptions);
        }
        Value::Array(parts) => parts.iter_mut().for_each(remove_descriptions),
        _ => {}
    }
}

fn repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(below)
}

#[test]
fn the_schema_in_the_documentation_is_that_of_the_types() {
    let path = repository("docs/json.schema.json");
    let text = format!("{:#}\n", schema());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let documented = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        documented == text,
        "docs/json.schema.json is not current: {WRITE}=1 cargo test -p bkctld schema"
    );
}

#[test]
fn each_command_has_a_document() {
    let program = commands::Command::augment_subcommands(Command::new("bkctld"));
    let commands: BTreeSet<&str> = program.get_subcommands().map(Command::get_name).collect();
    let mut generator = SchemaGenerator::default();
    let documents = documents(&mut generator);
    assert_eq!(documents.keys().copied().collect::<BTreeSet<_>>(), commands);
}

/// The names of all fields below this part of the schema, and of all values that are words.
fn names(schema: &Value, fields: &mut BTreeSet<String>, values: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                fields.extend(properties.keys().cloned());
            }
            let words = object.get("enum").and_then(Value::as_array).into_iter().flatten();
            values.extend(words.chain(object.get("const")).filter_map(Value::as_str).map(str::to_owned));
            object.values().for_each(|part| names(part, fields, values));
        }
        Value::Array(parts) => parts.iter().for_each(|part| names(part, fields, values)),
        _ => {}
    }
}

/// The names in the examples of the documentation, each before a colon.
fn names_in_examples(text: &str) -> BTreeSet<String> {
    let before_a_colon = text.split("\":").filter_map(|part| part.rsplit_once('"'));
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    before_a_colon.filter(|(_, name)| is_name(name)).map(|(_, name)| name.to_owned()).collect()
}

#[test]
fn the_documentation_has_each_field_and_word_and_no_other() {
    let text = std::fs::read_to_string(repository("docs/json.md")).unwrap();
    let (mut fields, mut values) = (BTreeSet::new(), BTreeSet::new());
    names(&schema(), &mut fields, &mut values);
    let shown = names_in_examples(&text);
    // In code of its own, alone (`exit`) or in its place (`live.not_counted`), or in an example.
    let in_text = |name: &str| {
        text.split('`').skip(1).step_by(2).any(|code| code.rsplit('.').next() == Some(name))
            || text.contains(&format!("\"{name}\""))
    };
    let missing: Vec<&String> = fields.iter().chain(&values).filter(|name| !in_text(name)).collect();
    assert!(missing.is_empty(), "docs/json.md does not have {missing:?}");
    let unknown: Vec<&String> = shown.difference(&fields).collect();
    assert!(unknown.is_empty(), "docs/json.md has {unknown:?}, which no document has");
}
