use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn home_only(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/root".to_owned())
}

/// The last value of each name.
fn values(text: &str) -> Result<BTreeMap<String, String>, Fault> {
    let script = parse(text.as_bytes(), &home_only)?;
    Ok(script.assignments.into_iter().map(|a| (a.name, String::from_utf8(a.value).unwrap())).collect())
}

fn value(text: &str) -> String {
    values(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}")).remove("A").unwrap()
}

#[test]
fn reads_what_a_shell_reads() {
    for (text, expected) in [
        ("A=1", "1"),
        ("A=", ""),
        ("A=  # nothing", ""),
        ("A=1\nA=2\n", "2"),
        ("  A=1 ; B=2", "1"),
        ("export A=1", "1"),
        ("export\tB A=1 C", "1"),
        ("A=1\nexport A", "1"),
        ("A=\"a\"b'c'", "abc"),
        ("A='it'\\''s'", "it's"),
        ("A=a\\ b", "a b"),
        ("A=\"a\\b\\\"\\$\\`\\\\\"", "a\\b\"$`\\"),
        ("A='a\nb'", "a\nb"),
        ("A=a#b", "a#b"),
        ("A=1 # A=2", "1"),
        ("#A=2\nA=1", "1"),
        ("A=a\\\nb", "ab"),
        ("A=\"a\\\nb\"", "ab"),
        ("A=*?[a]{b,c}", "*?[a]{b,c}"),
        ("A=$HOME/x", "/root/x"),
        ("B=/b\nA=\"${B}/x\"", "/b/x"),
        ("B=/b\nA=${B}$B'$B'", "/b/b$B"),
        ("A=$NONE-${NONE}", "-"),
        ("A=${NONE:-d e}", "d e"),
        ("B=\nA=${B:-d}", "d"),
        ("B=b\nA=${B:-$HOME}", "b"),
        ("A=\"${NONE:-it's}\"", "it's"),
        ("A=\"${NONE:-a\\}b\\z}\"", "a}b\\z"),
        ("A=${NONE:-a\\}b\\z}", "a}bz"),
        ("A=${NONE:-${HOME}/'}'\"}\"}", "/root/}}"),
        ("A=${NONE:-{a}b}", "{ab}"),
        ("A=${NONE:-a#b;c&d(}", "a#b;c&d("),
        ("A=1 B=$A A=$B$B", "11"),
        ("A=0; export A=1 B=$A; A=$B", "0"),
        ("A=$/x$", "$/x$"),
        ("A=\"$\"", "$"),
        ("A=a~b", "a~b"),
        ("A='~':\"~\"", "~:~"),
        ("A=1 # a comment that is continued \\\n", "1"),
    ] {
        assert_eq!(value(text), expected, "{text:?}");
        let in_dash = dash(text).unwrap_or_else(|| panic!("dash refuses {text:?}"));
        assert_eq!(in_dash, values(text).unwrap(), "{text:?}");
    }
}

#[test]
fn what_a_shell_would_run_or_compute_is_an_error_with_its_line() {
    for (text, line, reason) in [
        ("A=1\nA=$(id)", 2, "commands are not run"),
        ("A=\"$(id)\"", 1, "commands are not run"),
        ("A=$((1+1))", 1, "computed"),
        ("A=`id`", 1, "commands are not run"),
        ("A=\"`id`\"", 1, "commands are not run"),
        ("\nA='x\n\n", 2, "never closed"),
        ("A=1\n\nB=\"x\nC=2\n", 3, "never closed"),
        ("A=${B:-x\nC=2\n", 1, "without '}'"),
        ("A=\"${B:-x\nC=2\n", 1, "without '}'"),
        ("A=${B", 1, "braces"),
        ("A=${B%x}", 1, "braces"),
        ("A=${#B}", 1, "braces"),
        ("A=${B:=x}", 1, "braces"),
        ("A=${1}", 1, "braces"),
        ("A=$1", 1, "running shell"),
        ("A=$?", 1, "running shell"),
        ("A=$$", 1, "running shell"),
        ("A=$LINENO", 1, "running shell"),
        ("A=$'x'", 1, "shells disagree"),
        ("if true; then A=1; fi", 1, "'if' is not an assignment"),
        ("A=1\n. /etc/other", 2, "'.' is not an assignment"),
        ("A=(a b)", 1, "'('"),
        ("A[0]=x", 1, "array"),
        ("A+=x", 1, "'A+='"),
        ("A = x", 1, "blank between"),
        ("A= x", 1, "'x' is not an assignment"),
        ("A=a b", 1, "'b' is not an assignment"),
        ("A=a & B=1", 1, "'&'"),
        ("A=a | B=1", 1, "'|"),
        ("A=a >f", 1, "'>f' is not an assignment"),
        ("A=a>f", 1, "'>'"),
        ("A=1;; B=2", 1, "not an assignment"),
        ("; A=1", 1, "not an assignment"),
        ("1A=1", 1, "'1A=1' is not an assignment"),
        ("\"A\"=1", 1, "not an assignment"),
        ("export", 1, "'export' is not an assignment"),
        ("export # x", 1, "needs the name of a variable"),
        ("export -p", 1, "'-p' is not an assignment"),
        ("A=~/x", 1, "$HOME"),
        ("A=/a:~/x", 1, "$HOME"),
        ("A=${B:-~}", 1, "$HOME"),
        ("A=\\\n~", 1, "$HOME"),
        ("A=1\r\n", 1, "carriage return"),
        ("A=a\0b", 1, "zero byte"),
        ("\u{feff}A=1", 1, "not an assignment"),
        ("A=\\", 1, "end of the file"),
        ("A=\"${B:-\"x\"}\"", 1, "quotes within quotes"),
        ("A=$B\\\nC", 1, "line continued"),
        ("A\\\nB=1", 1, "not an assignment"),
    ] {
        let fault = values(text).expect_err(text);
        assert!(fault.reason.contains(reason), "{text:?}: {fault:?}");
        let named = if text == "A=\\\n~" { 2 } else { line };
        assert_eq!(fault.line, named, "{text:?}: {fault:?}");
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| format!("A={}x{}", "${N:-".repeat(levels), "}".repeat(levels));
    assert_eq!(value(&deep(MAX_DEPTH)), "x");
    assert!(values(&deep(100_000)).unwrap_err().reason.contains("deep"));
    let quoted = "A=\"".to_owned() + &"${N:-".repeat(100_000);
    assert!(values(&quoted).unwrap_err().reason.contains("deep"));
}

#[test]
fn bytes_that_are_no_utf8_are_kept_and_harmless_in_comments() {
    let script = parse(b"# caf\xe9\nA=\xff\n", &no_env).unwrap();
    assert_eq!(script.assignments[0].value, b"\xff");
    assert_eq!(script.assignments[0].line, 2);
}

/// The result of dash for the text: the values of the names `A` to `D` that it sets; `None` if it reports an
/// error.
fn dash(text: &str) -> Option<BTreeMap<String, String>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
    let program = r#"set -e; . "$1"; for v in A B C D; do
        eval "if [ -n \"\${$v+x}\" ]; then printf '%s=%s\0' $v \"\$$v\"; fi"; done"#;
    let out = Command::new("/bin/dash")
        .args(["-c", program, "dash"])
        .arg(&file)
        .env_clear()
        .env("HOME", "/root")
        .env("PATH", "/nonexistent")
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !out.status.success() || !out.stderr.is_empty() {
        return None;
    }
    let text = String::from_utf8(out.stdout).unwrap();
    let pairs = text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
    Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Pieces that meet each other in every order: most texts made of them hold at least one thing
/// that we refuse, so the rest is weighted towards what is read.
fn fragment() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => prop::sample::select(vec!["\nA=", "\nB=", " C=", "\nexport D=", "; A=", "\n"]),
        8 => prop::sample::select(vec!["a", "b", "/x", "'s t'", "\"u v\"", "$A", "${B}", "$C/", "${D}"]),
        4 => prop::sample::select(vec!["${N:-d}", "${A:-$B}", "\"${N:-e f}\"", "${N:-'q'\"r\"}", "\"$A\"", "$HOME"]),
        3 => prop::sample::select(vec!["\\", "\"", "'", "\\\n", " ", "#", "}", "{", "$", "=", ":", "~", "\\\"", "\\$"]),
        1 => prop::sample::select(vec!["`", "(", "&", ";", "\t", "*", "${N:-", "\"${N:-", "é", "[", "-", "1"]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_is_read_is_what_dash_reads(pieces in prop::collection::vec(fragment(), 1..14)) {
        let text = format!("A={}\n", pieces.concat());
        if let Ok(mut ours) = values(&text) {
            ours.retain(|name, _| ["A", "B", "C", "D"].contains(&name.as_str()));
            prop_assert_eq!(Some(ours), dash(&text), "{:?}", text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text, &no_env);
    }
}

#[test]
fn references_that_double_a_value_with_each_line_are_refused_before_they_fill_the_memory() {
    let doubling = format!("A=xxxxxxxx\n{}", "A=$A$A\n".repeat(20));
    assert!(parse(doubling.as_bytes(), &no_env).unwrap_err().reason.contains("add up to more than"));
    // An unused default costs as much.
    let unused = format!("A={}\n{}", "x".repeat(1 << 20), "B=${A:-$A$A}\n".repeat(10));
    assert_eq!(parse(unused.as_bytes(), &no_env).unwrap_err().line, 3);
    let plain = format!("A=/backup\n{}", "B=$A/jails\n".repeat(1000));
    assert!(parse(plain.as_bytes(), &no_env).is_ok());
}
