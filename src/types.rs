//! The types of columns, and their names.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use crate::name::{self, nearest};

/// The types of columns: those that Delta stores at reader version 1 and Athena supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// The text of a JSON value, as a landing column takes it. Stored, and in every query, it is a string.
    Json,
    /// 64 bits, signed.
    Long,
    /// 32 bits, signed.
    Integer,
    /// 16 bits, signed.
    Short,
    /// 8 bits, signed.
    Byte,
    /// 32-bit IEEE 754.
    Float,
    /// 64-bit IEEE 754.
    Double,
    /// True or false.
    Boolean,
    /// Bytes.
    Binary,
    /// A calendar day.
    Date,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    /// Exact decimal: precision 1..=38, scale 0..=precision.
    Decimal(u8, i8),
    /// Values of one type, in order; each may be NULL.
    Array(Arc<ColumnType>),
    /// Named fields, at least one; each may be NULL.
    Struct(Arc<[(String, ColumnType)]>),
    /// Keys, not nested and not NULL, and their values, which may be NULL.
    Map(Arc<(ColumnType, ColumnType)>),
}

/// Maximum levels of nested types. Code that traverses a type or a value of it may recurse.
pub(crate) const MAX_LEVELS: usize = 16;

/// Names of types in the order of the help text.
static SCALARS: [(&str, ColumnType); 16] = [
    ("string", ColumnType::String),
    ("long", ColumnType::Long),
    ("integer", ColumnType::Integer),
    ("short", ColumnType::Short),
    ("byte", ColumnType::Byte),
    ("float", ColumnType::Float),
    ("double", ColumnType::Double),
    ("boolean", ColumnType::Boolean),
    ("binary", ColumnType::Binary),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("json", ColumnType::Json),
    ("bigint", ColumnType::Long),
    ("int", ColumnType::Integer),
    ("smallint", ColumnType::Short),
    ("tinyint", ColumnType::Byte),
];

impl ColumnType {
    /// The Arrow type of stored values. Names of inner fields are Delta's.
    #[must_use]
    pub fn arrow(&self) -> DataType {
        match self {
            Self::String | Self::Json => DataType::Utf8,
            Self::Long => DataType::Int64,
            Self::Integer => DataType::Int32,
            Self::Short => DataType::Int16,
            Self::Byte => DataType::Int8,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Array(element) => DataType::List(element.element()),
            Self::Struct(fields) => DataType::Struct(fields.iter().map(|(name, t)| t.inner(name)).collect()),
            Self::Map(entry) => DataType::Map(Self::entries(&entry.0, &entry.1), false),
        }
    }

    /// The Arrow field of this type within another.
    fn inner(&self, name: &str) -> FieldRef {
        Arc::new(Field::new(name, self.arrow(), true))
    }

    /// The Arrow field of the elements of an array of this type.
    #[must_use]
    pub fn element(&self) -> FieldRef {
        self.inner("element")
    }

    /// The Arrow field of the entries of a map.
    #[must_use]
    pub fn entries(key: &Self, value: &Self) -> FieldRef {
        let key = Arc::new(Field::new("key", key.arrow(), false));
        Arc::new(Field::new("key_value", DataType::Struct([key, value.inner("value")].into()), false))
    }

    /// The name of an Arrow type for people: Delta's name if it has one.
    #[must_use]
    pub fn name_of(data_type: &DataType) -> String {
        Self::stored(data_type).map_or_else(|_| data_type.to_string(), |t| t.delta_name())
    }

    /// The type in which a query's values of an Arrow type are stored.
    ///
    /// # Errors
    /// A description of the values, to follow `is`, and what to write instead.
    pub(crate) fn stored(data_type: &DataType) -> Result<Self, (String, String)> {
        stored(data_type, 1)
    }

    /// The type whose stored values an Arrow type is, to the letter.
    #[must_use]
    pub fn exact(data_type: &DataType) -> Option<Self> {
        Self::stored(data_type).ok().filter(|found| found.arrow() == *data_type)
    }

    /// The names of the types that are not nested, but for decimals: Delta's, then Hive's others.
    pub(crate) fn scalar_names() -> impl Iterator<Item = &'static str> {
        SCALARS.iter().map(|(name, _)| *name)
    }

    /// Parses a name of Delta or Hive: `long`, `array<string>`, `struct<a:bigint,b:map<string,double>>`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse(text, 1)
    }

    /// Delta's name of the type, as in `stedi-delta.toml` and in error messages.
    #[must_use]
    pub fn delta_name(&self) -> String {
        self.name(&|scalar| match scalar {
            Self::String | Self::Json => "string",
            Self::Long => "long",
            Self::Integer => "integer",
            Self::Short => "short",
            Self::Byte => "byte",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            _ => "binary",
        })
    }

    /// Hive's name of the type, as in Glue and Athena.
    #[must_use]
    pub fn hive_name(&self) -> String {
        self.name(&|scalar| match scalar {
            Self::String | Self::Json => "string",
            Self::Long => "bigint",
            Self::Integer => "int",
            Self::Short => "smallint",
            Self::Byte => "tinyint",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            _ => "binary",
        })
    }

    fn name(&self, scalar: &dyn Fn(&Self) -> &'static str) -> String {
        match self {
            Self::Decimal(p, s) => format!("decimal({p},{s})"),
            Self::Array(element) => format!("array<{}>", element.name(scalar)),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, t)| format!("{name}:{}", t.name(scalar))).collect();
                format!("struct<{}>", fields.join(","))
            }
            Self::Map(entry) => format!("map<{},{}>", entry.0.name(scalar), entry.1.name(scalar)),
            plain => scalar(plain).to_owned(),
        }
    }

    /// Whether values are nested.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Struct(_) | Self::Map(_))
    }

    /// Fields that this type has and `older` lacks, by their paths below `path`: `detail.zip`, `items[].color`,
    /// `prices{}.at`. `None` where a value of `older` is no value of this type with NULL in these.
    #[must_use]
    pub fn fields_beyond(&self, older: &Self, path: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        self.as_stored().grows(&older.as_stored(), path, &mut found).then_some(found)
    }

    fn grows(&self, older: &Self, path: &str, found: &mut Vec<String>) -> bool {
        match (self, older) {
            (Self::Array(element), Self::Array(before)) => element.grows(before, &format!("{path}[]"), found),
            (Self::Map(entry), Self::Map(before)) => {
                entry.0 == before.0 && entry.1.grows(&before.1, &format!("{path}{{}}"), found)
            }
            (Self::Struct(fields), Self::Struct(before)) => {
                // In one order: a type is compared as it is written in more places than this one.
                let mut before = before.iter().peekable();
                for (name, field) in fields.iter() {
                    let path = format!("{path}.{name}");
                    match before.next_if(|(known, _)| known == name) {
                        Some((_, before)) if !field.grows(before, &path, found) => return false,
                        Some(_) => {}
                        None => found.push(path),
                    }
                }
                before.next().is_none()
            }
            (now, before) => now == before,
        }
    }

    /// The type that a table has for this one: JSON is text there.
    #[must_use]
    pub fn as_stored(&self) -> Self {
        match self {
            Self::Json => Self::String,
            Self::Array(element) => Self::Array(Arc::new(element.as_stored())),
            Self::Struct(fields) => {
                Self::Struct(fields.iter().map(|(name, t)| (name.clone(), t.as_stored())).collect())
            }
            Self::Map(entry) => Self::Map(Arc::new((entry.0.as_stored(), entry.1.as_stored()))),
            other => other.clone(),
        }
    }

    /// Levels of types within each other.
    #[must_use]
    pub fn levels(&self) -> usize {
        1 + match self {
            Self::Array(element) => element.levels(),
            Self::Struct(fields) => fields.iter().map(|(_, t)| t.levels()).max().unwrap_or_default(),
            Self::Map(entry) => entry.0.levels().max(entry.1.levels()),
            _ => 0,
        }
    }

    /// Whether this type, or a type inside it, satisfies `wanted`.
    #[must_use]
    pub fn any(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::Array(element) => element.any(wanted),
                Self::Struct(fields) => fields.iter().any(|(_, t)| t.any(wanted)),
                Self::Map(entry) => entry.0.any(wanted) || entry.1.any(wanted),
                _ => false,
            }
    }
}

/// A schema without the metadata of its fields, at any depth; `None` if there is none.
#[must_use]
pub(crate) fn plain_schema(schema: &SchemaRef) -> Option<SchemaRef> {
    if schema.fields().iter().all(is_plain) {
        return None;
    }
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain).collect();
    Some(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

fn is_plain(field: &FieldRef) -> bool {
    let inside = match field.data_type() {
        DataType::Struct(fields) => fields.iter().all(is_plain),
        DataType::List(inner) | DataType::Map(inner, _) => is_plain(inner),
        _ => true,
    };
    inside && field.metadata().is_empty()
}

fn plain(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::List(element) => DataType::List(plain(element)),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

fn parse(text: &str, level: usize) -> Result<ColumnType, String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some((_, found)) = SCALARS.iter().find(|(name, _)| *name == lower) {
        return Ok(found.clone());
    }
    if lower == "decimal" || lower.starts_with("decimal(") {
        return decimal(&lower).ok_or_else(|| "expected `decimal(p,s)` with p from 1 to 38 and s from 0 to p".into());
    }
    if let Some((head, rest)) = text.split_once('<')
        && let Some(inner) = rest.trim_end().strip_suffix('>')
    {
        if level >= MAX_LEVELS {
            return Err(format!("a type has at most {MAX_LEVELS} levels"));
        }
        match head.trim().to_ascii_lowercase().as_str() {
            "array" => return Ok(ColumnType::Array(Arc::new(within(inner, level)?))),
            "map" => return map(inner, level),
            "struct" => return fields(inner, level),
            _ => {}
        }
    }
    let head = lower.split(['(', '<', ' ']).next().unwrap_or_default();
    Err(match head {
        "varchar" | "char" | "text" => "write `string`".into(),
        "array" => "write `array<T>`, as in `array<string>`".into(),
        "map" => "write `map<string,T>`, as in `map<string,double>`".into(),
        "struct" | "row" => "write `struct<name:T,...>`, as in `struct<city:string,zip:int>`".into(),
        "timestamp_ntz" => "write `timestamp`: times are UTC".into(),
        "numeric" => "write `decimal(p,s)`".into(),
        "real" => "write `float`".into(),
        "bool" => "write `boolean`".into(),
        _ => match nearest(&lower, SCALARS.iter().map(|(name, _)| *name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names: Vec<_> = SCALARS[..12].iter().map(|(name, _)| *name).collect();
                format!("one of {}, decimal(p,s), array<T>, struct<name:T,...>, map<string,T>", names.join(", "))
            }
        },
    })
}

/// A type inside another: errors quote its text.
fn within(text: &str, level: usize) -> Result<ColumnType, String> {
    let text = text.trim();
    parse(text, level + 1).map_err(|label| if text.contains('<') { label } else { format!("`{text}`: {label}") })
}

fn map(inner: &str, level: usize) -> Result<ColumnType, String> {
    let [key, value] = parts(inner)[..] else {
        return Err("write `map<string,T>`, as in `map<string,double>`".into());
    };
    let (key, value) = (within(key, level)?, within(value, level)?);
    if key.is_nested() {
        return Err("the keys of a map cannot be nested: write `map<string,T>`".into());
    }
    Ok(ColumnType::Map(Arc::new((key, value))))
}

fn fields(inner: &str, level: usize) -> Result<ColumnType, String> {
    let mut fields: Vec<(String, ColumnType)> = Vec::new();
    for part in parts(inner) {
        let Some((name, field_type)) = part.split_once(':') else {
            return Err("write `struct<name:T,...>`, as in `struct<city:string,zip:int>`".into());
        };
        let name = name.trim();
        name::check(name).map_err(|reason| format!("field `{name}`: {reason}"))?;
        if fields.iter().any(|(n, _)| n == name) {
            return Err(format!("field `{name}` is there twice"));
        }
        fields.push((name.to_owned(), within(field_type, level)?));
    }
    Ok(ColumnType::Struct(fields.into()))
}

/// The parts between commas that are not in brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_i64;
    text.split(|c| {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn decimal(text: &str) -> Option<ColumnType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(ColumnType::Decimal(precision, scale))
}

fn stored(data_type: &DataType, level: usize) -> Result<ColumnType, (String, String)> {
    let (found, way_out) = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => return Ok(ColumnType::String),
        DataType::Int64 => return Ok(ColumnType::Long),
        // Only the engine's own functions return these: row numbers, ranks, lengths. None exceeds 63 bits.
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => return Ok(ColumnType::Long),
        DataType::Int32 => return Ok(ColumnType::Integer),
        DataType::Int16 => return Ok(ColumnType::Short),
        DataType::Int8 => return Ok(ColumnType::Byte),
        DataType::Float32 => return Ok(ColumnType::Float),
        DataType::Float64 => return Ok(ColumnType::Double),
        DataType::Boolean => return Ok(ColumnType::Boolean),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            return Ok(ColumnType::Binary);
        }
        DataType::Date32 => return Ok(ColumnType::Date),
        // Queries run in UTC: `date_trunc('day', date)` is the same moment with a time zone.
        DataType::Timestamp(..) => return Ok(ColumnType::Timestamp),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s)
            if *s >= 0 && s.unsigned_abs() <= *p =>
        {
            return Ok(ColumnType::Decimal(*p, *s));
        }
        DataType::Dictionary(_, values) => return stored(values, level),
        DataType::Null => ("of no type", "write `cast(null as ...)` and a type"),
        DataType::Date64 => ("a date with milliseconds", "write `cast(... as date)`"),
        DataType::Time32(_) | DataType::Time64(_) => ("a time of day", "write `cast(... as varchar)`"),
        DataType::Interval(_) | DataType::Duration(_) => {
            ("an interval", "write a number with a unit in its name, or `cast(... as varchar)`")
        }
        DataType::Float16 => ("a 16-bit number", "write `cast(... as real)`"),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            ("a decimal of this size", "write `cast(... as decimal(38, s))`")
        }
        _ if level >= MAX_LEVELS => ("nested too deeply", "select its parts"),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => {
            let element = inside("an array whose element", element.data_type(), level)?;
            return Ok(ColumnType::Array(Arc::new(element)));
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let mut found: Vec<(String, ColumnType)> = Vec::new();
            for field in fields {
                let name = field.name();
                if let Err(reason) = name::check(name) {
                    return Err((format!("a struct with a field `{name}`"), reason));
                }
                if found.iter().any(|(n, _)| n == name) {
                    return Err((format!("a struct with two fields `{name}`"), "give them different names".into()));
                }
                let field_type = inside(&format!("a struct whose field `{name}`"), field.data_type(), level)?;
                found.push((name.clone(), field_type));
            }
            return Ok(ColumnType::Struct(found.into()));
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) if entry.len() == 2 => {
                let key = inside("a map whose key", entry[0].data_type(), level)?;
                let value = inside("a map whose value", entry[1].data_type(), level)?;
                if !key.is_nested() {
                    return Ok(ColumnType::Map(Arc::new((key, value))));
                }
                ("a map with nested keys", "select its parts, or make the keys strings")
            }
            _ => ("a map of an unknown kind", "select its parts"),
        },
        _ => ("of a type of the query engine's own", "write `cast(... as ...)` and a type"),
    };
    Err((found.into(), way_out.into()))
}

fn inside(what: &str, data_type: &DataType, level: usize) -> Result<ColumnType, (String, String)> {
    stored(data_type, level + 1).map_err(|(found, way_out)| (format!("{what} is {found}"), way_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        ColumnType::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).delta_name()
    }

    fn refused(text: &str) -> String {
        ColumnType::parse(text).map(|t| t.delta_name()).expect_err(text)
    }

    #[test]
    fn delta_and_hive_names_mean_the_same() {
        assert_eq!(ColumnType::parse("bigint"), ColumnType::parse("long"));
        assert_eq!(ColumnType::parse("INT"), Ok(ColumnType::Integer));
        assert_eq!(ColumnType::parse("decimal(10, 2)"), Ok(ColumnType::Decimal(10, 2)));
        assert_eq!(parsed(" ARRAY < BigInt > "), "array<long>");
        assert_eq!(parsed("map<string,array<decimal(10,2)>>"), "map<string,array<decimal(10,2)>>");
        assert_eq!(
            parsed("struct<a:bigint, b : struct<c:map<int,date>,d:binary>>"),
            "struct<a:long,b:struct<c:map<integer,date>,d:binary>>"
        );
    }

    #[test]
    fn every_type_goes_to_arrow_and_back_and_names_itself_to_both() {
        let text = "struct<s:string,l:long,i:integer,h:short,y:byte,f:float,d:double,b:boolean,x:binary,t:date,\
                    z:timestamp,n:decimal(38,2),a:array<array<long>>,m:map<string,struct<v:array<byte>>>>";
        let found = ColumnType::parse(text).expect("a type");
        assert_eq!(found.delta_name(), text);
        assert_eq!(ColumnType::stored(&found.arrow()), Ok(found.clone()));
        assert_eq!(ColumnType::parse(&found.hive_name()), Ok(found));
    }

    #[test]
    fn a_plain_schema_has_no_metadata_at_any_depth() {
        let of = ColumnType::parse("map<string,array<struct<v:long>>>").expect("a type").arrow();
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new("m", of, true)];
        let plain = Arc::new(Schema::new(fields.clone()));
        assert_eq!(plain_schema(&plain), None);
        let comment = std::collections::HashMap::from([("comment".to_owned(), "x".to_owned())]);
        let top = vec![fields[0].clone().with_metadata(comment.clone()), fields[1].clone()];
        assert_eq!(plain_schema(&Arc::new(Schema::new(top))), Some(Arc::clone(&plain)));
        let DataType::Map(entries, sorted) = fields[1].data_type().clone() else { panic!("a map") };
        let inside = Arc::new(entries.as_ref().clone().with_metadata(comment));
        let deep = vec![fields[0].clone(), Field::new("m", DataType::Map(inside, sorted), true)];
        assert_eq!(plain_schema(&Arc::new(Schema::new(deep))), Some(plain));
    }

    #[test]
    fn json_is_stored_as_text() {
        let found = ColumnType::parse("map<string,array<JSON>>").expect("a type");
        assert!(found.any(&|t| *t == ColumnType::Json));
        assert_eq!((found.delta_name(), found.hive_name()), (parsed("map<string,array<string>>"), found.delta_name()));
        assert_eq!(found.arrow(), ColumnType::parse("map<string,array<string>>").expect("a type").arrow());
    }

    #[test]
    fn other_types_come_with_a_way_out() {
        assert_eq!(refused("varchar(20)"), "write `string`");
        assert_eq!(refused("timestamp_ntz"), "write `timestamp`: times are UTC");
        assert_eq!(refused("strin"), "did you mean `string`?");
        assert_eq!(refused("array<strin>"), "`strin`: did you mean `string`?");
        assert_eq!(refused("array<array<varchar>>"), "`varchar`: write `string`");
        assert_eq!(refused("array(bigint)"), "write `array<T>`, as in `array<string>`");
        assert_eq!(refused("row(a bigint)"), "write `struct<name:T,...>`, as in `struct<city:string,zip:int>`");
        assert_eq!(refused("map<string>"), "write `map<string,T>`, as in `map<string,double>`");
        assert_eq!(refused("map<array<int>,int>"), "the keys of a map cannot be nested: write `map<string,T>`");
        assert_eq!(refused("struct<a:int,a:long>"), "field `a` is there twice");
        assert_eq!(refused("struct<City:int>"), "field `City`: a name begins with a letter a-z, found `C`");
        assert_eq!(refused("jsonb"), "did you mean `json`?");
        for bad in ["decimal", "decimal(39,0)", "decimal(5,6)", "decimal(5,-1)", "xyzzy", "array", "array<>"] {
            refused(bad);
        }
        for bad in ["array<int", "array<int>>", "struct<>", "struct<a>", "struct<a:>", "struct<a:int,>", "map<,>", "<>"]
        {
            refused(bad);
        }
        let deep = |levels| format!("{}int{}", "array<".repeat(levels), ">".repeat(levels));
        assert_eq!(parsed(&deep(15)).len(), 15 * 7 + 7);
        assert_eq!(refused(&deep(16)), "a type has at most 16 levels");
        refused(&deep(100_000));
    }
}
