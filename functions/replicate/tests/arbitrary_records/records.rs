//! Records of three kinds: valid, damaged, and arbitrary JSON.

use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;

use crate::json::{Json, quoted};

/// Marker in every text value of valid records: an error that holds it quotes an item.
pub(crate) const SECRET: &str = "§secret§";
/// An image that the target refuses, as an engine does by its mapping.
pub(crate) const REFUSED_IMAGE: &str = r#"{"refused":{"N":"1"}}"#;

const ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/T/stream/2026-01-15T09:30:00.000";
/// Number of keys: few, so that the changes of an item meet within and across batches.
const KEYS: u32 = 40;
const SEQUENCE_NUMBERS: u32 = 3_000;
/// Texts that break parsers and engines, in JSON's spelling. The last ones are no Unicode.
const ODD_TEXTS: [&str; 14] = [
    r#""""#,
    r#"" ""#,
    r#""\u0000""#,
    r#""\u001f\u007f\u2028""#,
    "\"\u{fffe}\u{ffff}\u{10ffff}\"",
    r#""\ud83d\ude00""#,
    "\"e\u{301}\u{202e}\u{200b}\"",
    r#""_id""#,
    r#""a.b""#,
    r#""%""#,
    r#""1e999""#,
    r#""-0""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
];
const ODD_SCALARS: [&str; 9] = ["null", "true", "0", "-0", "1e999", "1e-999", "0.1e+1", "18446744073709551616", "-1"];
const NAMES: [&str; 16] = [
    "a",
    "b",
    "S",
    "N",
    "M",
    "L",
    "NULL",
    "BS",
    "Keys",
    "NewImage",
    "SequenceNumber",
    "eventName",
    "dynamodb",
    "",
    "_id",
    "a.b",
];

/// Returns the records of all sample events of DynamoDB Streams.
pub(crate) fn samples() -> Vec<Json> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the sample events")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kinesis-")))
        .collect();
    files.sort();
    let events = files.iter().map(|file| std::fs::read_to_string(file).expect("a file"));
    events
        .flat_map(|text| {
            let event: Value = serde_json::from_str(&text).expect("an event");
            event["Records"].as_array().expect("records").clone()
        })
        .map(Json::from)
        .collect()
}

/// Generates a record as DynamoDB sends it.
pub(crate) fn right(rng: &mut StdRng) -> Json {
    let (name, image) = match rng.random_range(0..20) {
        0..3 => ("REMOVE", None),
        3 => ("MODIFY", Some(REFUSED_IMAGE.to_owned())),
        4..12 => ("INSERT", Some(image(rng))),
        _ => ("MODIFY", Some(image(rng))),
    };
    let image = image.map(|image| format!(r#""NewImage":{image},"#)).unwrap_or_default();
    let (key, sequence) = (rng.random_range(0..KEYS), rng.random_range(1..=SEQUENCE_NUMBERS));
    Json::parse(&format!(
        r#"{{"eventID":"e{sequence}","eventName":"{name}","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-central-1",
            "dynamodb":{{"ApproximateCreationDateTime":1768469467,"Keys":{{"pk":{{"S":"{SECRET}{key}"}}}},{image}
            "SequenceNumber":"{sequence}00000000000000000000","SizeBytes":26,"StreamViewType":"NEW_IMAGE"}},"eventSourceARN":"{ARN}"}}"#
    ))
}

fn image(rng: &mut StdRng) -> String {
    let attributes: Vec<String> =
        (0..rng.random_range(0..6)).map(|at| format!(r#""a{at}":{}"#, attribute(rng, 3))).collect();
    format!("{{{}}}", attributes.join(","))
}

fn attribute(rng: &mut StdRng, depth: u32) -> String {
    let kinds = if depth > 0 { 10 } else { 8 };
    let number = |rng: &mut StdRng| {
        let (mantissa, exponent) = (rng.random::<u128>(), rng.random_range(-120..80));
        if rng.random() { format!("{mantissa}") } else { format!("-{mantissa}E{exponent}") }
    };
    match rng.random_range(0..kinds) {
        0 | 1 => format!(r#"{{"S":"{SECRET}{}"}}"#, rng.random::<u16>()),
        2 => format!(r#"{{"N":"{}"}}"#, number(rng)),
        3 => r#"{"B":"3q2+7w=="}"#.to_owned(),
        4 => format!(r#"{{"BOOL":{}}}"#, rng.random::<bool>()),
        5 => r#"{"NULL":true}"#.to_owned(),
        6 => format!(r#"{{"SS":["{SECRET}b","{SECRET}a"]}}"#),
        7 => format!(r#"{{"NS":["{}","{}"]}}"#, number(rng), number(rng)),
        8 => format!(r#"{{"M":{{"x":{},"y":{}}}}}"#, attribute(rng, depth - 1), attribute(rng, depth - 1)),
        _ => format!(r#"{{"L":[{},{}]}}"#, attribute(rng, depth - 1), attribute(rng, depth - 1)),
    }
}

/// Generates any JSON at all.
pub(crate) fn arbitrary(rng: &mut StdRng, depth: u32) -> Json {
    match rng.random_range(0..if depth > 0 { 10 } else { 4 }) {
        0 | 1 => Json::Scalar((*ODD_SCALARS.choose(rng).expect("some")).to_owned()),
        2 | 3 => Json::Scalar((*ODD_TEXTS.choose(rng).expect("some")).to_owned()),
        4 | 5 => Json::Array((0..rng.random_range(0..5)).map(|_| arbitrary(rng, depth - 1)).collect()),
        _ => Json::Object((0..rng.random_range(0..6)).map(|_| (name(rng), arbitrary(rng, depth - 1))).collect()),
    }
}

fn name(rng: &mut StdRng) -> String {
    if rng.random_ratio(1, 8) {
        return (*ODD_TEXTS.choose(rng).expect("some")).to_owned();
    }
    quoted(NAMES.choose(rng).expect("some"))
}

/// Damages a record in one place.
pub(crate) fn damage(record: &mut Json, samples: &[Json], rng: &mut StdRng) {
    let place = rng.random_range(0..record.count());
    let value = record.nth(place);
    match (rng.random_range(0..10), &mut *value) {
        (0, Json::Object(members)) if !members.is_empty() => drop(members.remove(rng.random_range(0..members.len()))),
        (0, Json::Array(elements)) if !elements.is_empty() => {
            drop(elements.remove(rng.random_range(0..elements.len())))
        }
        (1, Json::Object(members)) if !members.is_empty() => {
            let member = members[rng.random_range(0..members.len())].clone();
            members.insert(rng.random_range(0..=members.len()), member);
        }
        (2, Json::Object(members)) if !members.is_empty() => {
            let at = rng.random_range(0..members.len());
            members[at].0 = name(rng);
        }
        (3, Json::Object(members)) if members.len() > 1 => members.rotate_left(1),
        (4, Json::Scalar(text)) => *text = longer(text, rng),
        (5, _) => *value = nested(value.clone(), rng),
        (6, _) => {
            let mut other = samples.choose(rng).expect("some").clone();
            let place = rng.random_range(0..other.count());
            *value = other.nth(place).clone();
        }
        (7, Json::Scalar(_)) => *value = Json::Scalar((*ODD_TEXTS.choose(rng).expect("some")).to_owned()),
        _ => *value = arbitrary(rng, 2),
    }
}

/// Makes a number or text longer.
fn longer(text: &str, rng: &mut StdRng) -> String {
    let digits = "9".repeat(rng.random_range(1..60));
    let exponent = rng.random_range(-2_000_000_000_i64..2_000_000_000);
    match text.strip_suffix('"') {
        Some(text) => match rng.random_range(0..3) {
            0 => format!("{text}{digits}\""),
            1 => format!("{text}.{digits}E{exponent}\""),
            _ => format!("{text}{}\"", "ü\u{1F600}".repeat(rng.random_range(1..200))),
        },
        None => format!("{digits}.{digits}e{exponent}"),
    }
}

/// Nests a value some levels down, seldom far deeper than a stack would hold.
fn nested(value: Json, rng: &mut StdRng) -> Json {
    let levels = if rng.random_ratio(1, 50) { 5_000 } else { rng.random_range(1..80) };
    let kind = rng.random_range(0..3);
    if levels > 80 {
        let mut inner = String::new();
        value.write(&mut inner);
        return Json::Scalar(format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels)));
    }
    (0..levels).fold(value, |value, _| match kind {
        0 => Json::Array(vec![value]),
        1 => Json::Object(vec![("\"M\"".to_owned(), Json::Object(vec![("\"a\"".to_owned(), value)]))]),
        _ => Json::Object(vec![("\"L\"".to_owned(), Json::Array(vec![value]))]),
    })
}

/// Flips bytes of a text, and keeps those flips that leave it JSON in UTF-8.
pub(crate) fn flip(text: &str, rng: &mut StdRng) -> String {
    let mut text = text.to_owned();
    for _ in 0..8 {
        let mut bytes = text.clone().into_bytes();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        let flipped = String::from_utf8(bytes).ok();
        if let Some(flipped) = flipped.filter(|text| serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok())
        {
            text = flipped;
        }
    }
    text
}
