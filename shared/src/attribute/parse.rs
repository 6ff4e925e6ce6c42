//! The fast path: one pass from JSON text to attribute values. Errors carry no detail; `diagnose` finds it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::{AttributeValue, Item};
use crate::number::Number;

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of attribute values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some(Text(name)) = map.next_key()? {
                    if attributes.insert(name, map.next_value()?).is_some() {
                        return Err(A::Error::custom("an attribute name stands twice"));
                    }
                }
                Ok(Item(attributes))
            }
        }
        deserializer.deserialize_map(ItemVisitor)
    }
}

impl<'de> Deserialize<'de> for AttributeValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = AttributeValue<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("one type tag with its value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue<'de>, A::Error> {
                let Some(Text(tag)) = map.next_key()? else {
                    return Err(A::Error::custom("no type tag"));
                };
                let value = tagged(&tag, &mut map)?;
                match map.next_key::<Text<'de>>()? {
                    None => Ok(value),
                    Some(_) => Err(A::Error::custom("more than one type tag")),
                }
            }
        }
        deserializer.deserialize_map(ValueVisitor)
    }
}

fn tagged<'de, A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<AttributeValue<'de>, A::Error> {
    Ok(match tag {
        "S" => AttributeValue::String(map.next_value::<Text<'de>>()?.0),
        "N" => AttributeValue::Number(map.next_value()?),
        "B" => AttributeValue::Binary(map.next_value::<Base64>()?.0),
        "BOOL" => AttributeValue::Bool(map.next_value()?),
        "NULL" => map.next_value::<bool>().map(|_| AttributeValue::Null)?,
        "M" => AttributeValue::Map(map.next_value()?),
        "L" => AttributeValue::List(map.next_value()?),
        "SS" => AttributeValue::StringSet(map.next_value::<Vec<Text<'de>>>()?.into_iter().map(|text| text.0).collect()),
        "NS" => AttributeValue::NumberSet(map.next_value()?),
        "BS" => AttributeValue::BinarySet(map.next_value::<Vec<Base64>>()?.into_iter().map(|bytes| bytes.0).collect()),
        _ => return Err(A::Error::custom("unknown type tag")),
    })
}

/// A JSON string, borrowed if it holds no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text.as_bytes()).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}
