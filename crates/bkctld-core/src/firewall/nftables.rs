//! A separate table in nftables, replaced as a whole in one transaction of the kernel: even after an
//! interruption, the old table or the new one is active. Other tables are left alone.
//!
//! The table only blocks: it drops attempts to connect to a jail's port from addresses that the jail does not
//! allow, and leaves everything else to the administrator's rules. It cannot do more, because a packet passes
//! only if every table accepts it. Attempts are recognized by their flags and not by connection tracking,
//! which the first rule that uses it would switch on for the whole server. So, as with `reload`, an open
//! session continues when its address is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipnet::IpNet;
use serde_json::Value;

use super::rules::Rules;
use crate::error::{Error, Result};
use crate::jail::{JailName, Port};
use crate::program::NFT;

const TABLE: &str = "inet bkctld";

/// The maximum size of an element's comment in the kernel, in bytes.
const COMMENT_MAX: usize = 120;

/// The rules of the chain: the set that each rule checks, its number of statements (without counters), and
/// its verdict.
const CHAIN: [(&str, usize, &str); 4] = [
    ("@everyone", 2, "accept"),
    ("@allowed4", 2, "accept"),
    ("@allowed6", 2, "accept"),
    ("@jails", 3, "drop"),
];

/// The sets of the table, each with its elements as nft writes them.
#[derive(Debug, PartialEq, Eq)]
struct Sets(BTreeMap<&'static str, BTreeSet<String>>);

impl Sets {
    fn from_rules(rules: &Rules) -> Sets {
        let mut sets =
            BTreeMap::from(["jails", "everyone", "allowed4", "allowed6"].map(|name| (name, BTreeSet::new())));
        let mut add = |set, element: String| {
            sets.entry(set).or_insert_with(BTreeSet::new).insert(element);
        };
        for (port, networks) in by_port(rules) {
            add("jails", port.to_string());
            // The kernel refuses elements that overlap, such as a network and an address in it.
            for network in IpNet::aggregate(&networks.addresses) {
                let set = if matches!(network, IpNet::V4(_)) { "allowed4" } else { "allowed6" };
                add(set, format!("{} . {port}", shortest(network)));
            }
            if networks.everyone {
                add("everyone", port.to_string());
            }
        }
        Sets(sets)
    }
}

/// The addresses that one port admits: if two jails have the same port by mistake, it admits the clients of
/// both.
#[derive(Default)]
struct OfPort<'a> {
    jails: Vec<&'a JailName>,
    addresses: Vec<IpNet>,
    everyone: bool,
}

fn by_port(rules: &Rules) -> BTreeMap<Port, OfPort<'_>> {
    let mut ports: BTreeMap<Port, OfPort<'_>> = BTreeMap::new();
    for rules in rules.iter() {
        let port = ports.entry(rules.port).or_default();
        port.jails.push(&rules.jail);
        for address in rules.addresses.iter() {
            if address.is_everyone() {
                port.everyone = true;
            } else {
                port.addresses.push(address.network());
            }
        }
    }
    ports
}

fn shortest(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// The text for `nft -f -` that replaces the table. The table is declared first, so that deleting a missing
/// table is not an error; `destroy`, which does this in one word, is newer than Debian 12.
pub(super) fn script(rules: &Rules) -> String {
    let comments: BTreeMap<String, String> = by_port(rules)
        .into_iter()
        .map(|(port, of_port)| {
            let names: Vec<&str> = of_port.jails.iter().map(|jail| jail.as_str()).collect();
            let mut comment = names.join(" ");
            comment.truncate(COMMENT_MAX);
            (port.to_string(), comment)
        })
        .collect();
    let mut out = format!("table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n");
    for (name, elements) in Sets::from_rules(rules).0 {
        let kind = match name {
            "allowed4" => "type ipv4_addr . inet_service\n\t\tflags interval",
            "allowed6" => "type ipv6_addr . inet_service\n\t\tflags interval",
            _ => "type inet_service",
        };
        let _ = write!(out, "\tset {name} {{\n\t\t{kind}\n");
        if !elements.is_empty() {
            let elements: Vec<String> = elements
                .into_iter()
                .map(|element| match comments.get(&element) {
                    Some(comment) if name == "jails" => format!("{element} comment \"{comment}\""),
                    _ => element,
                })
                .collect();
            let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t     "));
        }
        out.push_str("\t}\n");
    }
    out.push_str(
        "\tchain input {\n\
         \t\ttype filter hook input priority filter; policy accept;\n\
         \t\ttcp dport @everyone accept\n\
         \t\tip saddr . tcp dport @allowed4 accept\n\
         \t\tip6 saddr . tcp dport @allowed6 accept\n\
         \t\ttcp dport @jails tcp flags & (fin | syn | rst | ack) == syn counter drop\n\
         \t}\n}\n",
    );
    out
}

/// Runs the script, which is applied as a whole or not at all.
pub(super) fn apply(script: &str) -> Result<()> {
    let output = NFT.talk(NFT.command().args(["-f", "-"]), script.as_bytes());
    NFT.check("", &output.map_err(or_another_firewall)?)
}

/// The differences between the table in force and the intended one.
pub(super) fn differences(wanted: &Rules) -> Result<Vec<String>> {
    let tables = listed(&["-j", "list", "tables"])?;
    if !objects(&tables, "table").any(|table| table["family"] == "inet" && table["name"] == "bkctld") {
        return Ok(vec![format!("there is no table {TABLE}")]);
    }
    Ok(compared(&listed(&["-j", "list", "table", "inet", "bkctld"])?, wanted))
}

fn listed(arguments: &[&str]) -> Result<Value> {
    let output = NFT.output(NFT.command().args(arguments)).map_err(or_another_firewall)?;
    NFT.check("", &output)?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::program(NFT, format_args!("unreadable JSON: {error}")))
}

fn compared(running: &Value, wanted: &Rules) -> Vec<String> {
    let mut found = Vec::new();
    for (name, should) in Sets::from_rules(wanted).0 {
        let Some(set) = objects(running, "set").find(|set| set["name"] == name) else {
            found.push(format!("set {name} is missing"));
            continue;
        };
        let has: BTreeSet<String> = set["elem"].as_array().into_iter().flatten().map(element).collect();
        let list = |elements: Vec<&String>| {
            elements
                .into_iter()
                .map(|e| crate::text::printable(e.as_bytes()).into_owned())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (missing, more) =
            (list(should.difference(&has).collect()), list(has.difference(&should).collect()));
        if !missing.is_empty() {
            found.push(format!("set {name} lacks {missing}"));
        }
        if !more.is_empty() {
            found.push(format!("set {name} has {more}, which no jail needs"));
        }
    }
    let chains: Vec<&Value> = objects(running, "chain").collect();
    let expected = matches!(chains.as_slice(), [chain] if chain["name"] == "input"
        && chain["hook"] == "input" && chain["policy"] == "accept");
    let has: Vec<_> = objects(running, "rule").map(rule).collect();
    if !expected
        || has
            != CHAIN.map(|(set, statements, verdict)| {
                (Some(set.to_owned()), statements, Some(verdict.to_owned()))
            })
    {
        found.push("its chain of rules was changed".to_owned());
    }
    found
}

fn objects<'a>(listing: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    listing["nftables"].as_array().into_iter().flatten().filter_map(move |object| object.get(kind))
}

/// An element of a set as [`Sets`] has it, its comment aside.
fn element(value: &Value) -> String {
    if let Some(inner) = value.get("elem") {
        return element(&inner["val"]);
    }
    if let Some(parts) = value["concat"].as_array() {
        return parts.iter().map(element).collect::<Vec<_>>().join(" . ");
    }
    if let Some(prefix) = value.get("prefix") {
        return format!("{}/{}", element(&prefix["addr"]), prefix["len"]);
    }
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The set that the rule checks, its number of statements (without counters), and its verdict.
fn rule(rule: &Value) -> (Option<String>, usize, Option<String>) {
    let statements: Vec<&Value> =
        rule["expr"].as_array().into_iter().flatten().filter(|part| part.get("counter").is_none()).collect();
    let set =
        statements.iter().find_map(|part| part["match"]["right"].as_str().filter(|set| set.starts_with('@')));
    let verdict = statements.last().and_then(|part| part.as_object()?.keys().next());
    (set.map(str::to_owned), statements.len(), verdict.cloned())
}

/// What is wrong with nft may be helped without it.
fn or_another_firewall(error: Error) -> Error {
    match error.hint() {
        Some(hint) => {
            let hint = format!("{hint}, or set FIREWALL in the configuration to something else");
            error.with_hint(hint)
        }
        None => error,
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::JailRules;
    use crate::jail::AllowedAddresses;

    fn rules(jails: &[(&str, &str, &[&str])]) -> Rules {
        let mut rules = Rules::default();
        for (jail, port, addresses) in jails {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            rules.set(JailRules {
                jail: jail.parse().unwrap(),
                port: port.parse().unwrap(),
                addresses: AllowedAddresses::new(addresses).unwrap(),
            });
        }
        rules
    }

    fn two_jails() -> Rules {
        rules(&[
            ("db", "2223", &["0.0.0.0/0"]),
            ("web", "2222", &["192.0.2.7", "10.1.0.0/16", "10.0.0.0/8", "2001:db8::/32", "::1"]),
        ])
    }

    /// The output of nft 1.0.6 for the table of [`two_jails`].
    const LISTED: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
      {"table": {"family": "inet", "name": "bkctld", "handle": 2}},
      {"set": {"name": "allowed4", "type": ["ipv4_addr", "inet_service"], "flags": ["interval"], "elem": [
        {"concat": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, 2222]}, {"concat": ["192.0.2.7", 2222]}]}},
      {"set": {"name": "allowed6", "type": ["ipv6_addr", "inet_service"], "flags": ["interval"], "elem": [
        {"concat": ["::1", 2222]}, {"concat": [{"prefix": {"addr": "2001:db8::", "len": 32}}, 2222]}]}},
      {"set": {"name": "everyone", "type": "inet_service", "elem": [2223]}},
      {"set": {"name": "jails", "type": "inet_service", "elem": [
        {"elem": {"val": 2222, "comment": "web"}}, {"elem": {"val": 2223, "comment": "db"}}]}},
      {"chain": {"name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
      {"rule": {"expr": [{"match": {"op": "==", "left": 1, "right": "@everyone"}}, {"accept": null}]}},
      {"rule": {"expr": [{"match": {"op": "==", "left": 1, "right": "@allowed4"}}, {"accept": null}]}},
      {"rule": {"expr": [{"match": {"op": "==", "left": 1, "right": "@allowed6"}}, {"accept": null}]}},
      {"rule": {"expr": [{"match": {"op": "==", "left": 1, "right": "@jails"}},
        {"match": {"op": "==", "left": 2, "right": "syn"}}, {"counter": {"packets": 7, "bytes": 0}}, {"drop": null}]}}
    ]}"#;

    fn differences_of(listing: &str) -> Vec<String> {
        compared(&serde_json::from_str(listing).unwrap(), &two_jails())
    }

    #[test]
    fn the_script_replaces_the_table_and_nothing_else() {
        let expected = "table inet bkctld\n\
            delete table inet bkctld\n\
            table inet bkctld {\n\
            \tset allowed4 {\n\
            \t\ttype ipv4_addr . inet_service\n\
            \t\tflags interval\n\
            \t\telements = { 10.0.0.0/8 . 2222,\n\
            \t\t\t     192.0.2.7 . 2222 }\n\
            \t}\n\
            \tset allowed6 {\n\
            \t\ttype ipv6_addr . inet_service\n\
            \t\tflags interval\n\
            \t\telements = { 2001:db8::/32 . 2222,\n\
            \t\t\t     ::1 . 2222 }\n\
            \t}\n\
            \tset everyone {\n\
            \t\ttype inet_service\n\
            \t\telements = { 2223 }\n\
            \t}\n\
            \tset jails {\n\
            \t\ttype inet_service\n\
            \t\telements = { 2222 comment \"web\",\n\
            \t\t\t     2223 comment \"db\" }\n\
            \t}\n\
            \tchain input {\n\
            \t\ttype filter hook input priority filter; policy accept;\n\
            \t\ttcp dport @everyone accept\n\
            \t\tip saddr . tcp dport @allowed4 accept\n\
            \t\tip6 saddr . tcp dport @allowed6 accept\n\
            \t\ttcp dport @jails tcp flags & (fin | syn | rst | ack) == syn counter drop\n\
            \t}\n\
            }\n";
        assert_eq!(script(&two_jails()), expected);
        assert!(
            !script(&Rules::default()).contains("elements"),
            "a set without elements is not a set of nothing"
        );
    }

    #[test]
    fn two_jails_on_one_port_admit_the_addresses_of_both() {
        let both = rules(&[("a", "2222", &["192.0.2.7"]), ("b", "2222", &["192.0.2.6", "192.0.2.7"])]);
        let sets = Sets::from_rules(&both).0;
        assert_eq!(sets["jails"].len(), 1);
        // Aggregated, because the kernel does not accept an address twice.
        assert_eq!(sets["allowed4"].iter().collect::<Vec<_>>(), ["192.0.2.6/31 . 2222"]);
        assert!(script(&both).contains("2222 comment \"a b\""));
    }

    #[test]
    fn what_runs_is_compared_with_what_is_wanted() {
        assert_eq!(differences_of(LISTED), Vec::<String>::new());
        for (from, to, words) in [
            ("192.0.2.7", "192.0.2.8", "lacks 192.0.2.7 . 2222"),
            ("192.0.2.7", "192.0.2.8", "has 192.0.2.8 . 2222"),
            ("\"elem\": [2223]", "\"elem\": []", "everyone lacks 2223"),
            ("\"name\": \"jails\"", "\"name\": \"x\"", "set jails is missing"),
            ("{\"drop\": null}", "{\"accept\": null}", "chain of rules"),
            ("\"policy\": \"accept\"", "\"policy\": \"drop\"", "chain of rules"),
            (
                "\"right\": \"@allowed4\"}},",
                "\"right\": \"@allowed4\"}}, {\"match\": {\"right\": 1}},",
                "chain of rules",
            ),
        ] {
            let told = differences_of(&LISTED.replacen(from, to, 1));
            assert!(told.iter().any(|told| told.contains(words)), "{words}: {told:?}");
        }
    }
}
