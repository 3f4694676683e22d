//! Functions of Athena, Spark and DuckDB that do not exist here, and their replacements.

/// Names, their engines, and equivalent expressions here: of `s` and `t` (texts), `x` and `y` (integers), `f` (double),
/// `b` (boolean), `d` and `e` (dates), `at` and `to` (timestamps), `tags` (array of texts), `m` (map).
pub(crate) const SPELLED: &[(&str, &str, &[&str])] = &[
    ("date_diff", "Athena and DuckDB", &["e - d", "to_unixtime(to) - to_unixtime(at)"]),
    ("datediff timestampdiff", "Spark", &["e - d", "to_unixtime(to) - to_unixtime(at)"]),
    ("months_between", "Spark", &["(year(e) - year(d)) * 12 + month(e) - month(d)"]),
    ("date_add", "Athena, Spark and DuckDB", &["at + interval '1 day'"]),
    ("dateadd date_sub timestampadd", "Spark", &["at + interval '1 day'", "at - interval '1 day'"]),
    ("add_months", "Spark", &["d + interval '1 month'"]),
    ("format_datetime to_iso8601", "Athena", &["to_char(at, '%Y-%m-%dT%H:%M:%S')"]),
    ("strftime", "DuckDB", &["to_char(at, '%Y-%m-%d')"]),
    ("date_parse parse_datetime", "Athena", &["to_timestamp(s, '%Y-%m-%d %H:%M:%S')"]),
    ("strptime", "DuckDB", &["to_timestamp(s, '%Y-%m-%d %H:%M:%S')"]),
    ("from_iso8601_timestamp", "Athena", &["cast(s as timestamp)"]),
    ("from_iso8601_date", "Athena", &["cast(s as date)"]),
    ("date", "Athena and Spark", &["cast(s as date)"]),
    ("timestamp", "Spark", &["cast(s as timestamp)"]),
    ("unix_timestamp", "Spark", &["to_unixtime(at)"]),
    ("epoch", "DuckDB", &["to_unixtime(at)"]),
    ("epoch_ms", "DuckDB", &["to_unixtime(at) * 1000"]),
    ("timestamp_millis", "Spark", &["to_timestamp_millis(x)"]),
    ("timestamp_micros", "Spark", &["to_timestamp_micros(x)"]),
    ("timestamp_seconds", "Spark", &["to_timestamp_seconds(x)"]),
    ("at_timezone with_timezone", "Athena", &["at at time zone 'America/Denver'"]),
    ("from_utc_timestamp", "Spark", &["cast(at at time zone 'America/Denver' as timestamp)"]),
    ("day_of_month", "Athena", &["day(at)"]),
    ("dayofmonth", "Spark and DuckDB", &["day(at)"]),
    ("day_of_year doy", "Athena", &["date_part('doy', at)"]),
    ("dayofyear", "Spark and DuckDB", &["date_part('doy', at)"]),
    ("day_of_week dow", "Athena", &["date_part('dow', at)"]),
    ("dayofweek weekday", "Spark and DuckDB", &["date_part('dow', at)"]),
    ("week_of_year", "Athena", &["week(at)"]),
    ("weekofyear", "Spark and DuckDB", &["week(at)"]),
    ("millisecond", "Athena and DuckDB", &["date_part('millisecond', at)"]),
    ("last_day_of_month", "Athena", &["date_trunc('month', d) + interval '1 month' - interval '1 day'"]),
    ("last_day", "Spark and DuckDB", &["date_trunc('month', d) + interval '1 month' - interval '1 day'"]),
    ("regexp_extract", "Athena, Spark and DuckDB", &["regexp_match(s, '([0-9]+)')[1]"]),
    ("rlike regexp", "Spark", &["regexp_like(s, '[0-9]')"]),
    ("regexp_matches", "DuckDB", &["regexp_like(s, '[0-9]')"]),
    ("regexp_position", "Athena", &["regexp_instr(s, '[0-9]')"]),
    ("split", "Athena and Spark", &["string_to_array(s, ',')"]),
    ("str_split string_split", "DuckDB", &["string_to_array(s, ',')"]),
    ("locate charindex", "Spark", &["strpos(s, 'a')"]),
    ("len strlen", "Spark and DuckDB", &["length(s)"]),
    ("lcase", "Spark and DuckDB", &["lower(s)"]),
    ("ucase", "Spark and DuckDB", &["upper(s)"]),
    ("format format_string printf", "Athena, Spark and DuckDB", &["s || ': ' || cast(x as varchar)"]),
    ("levenshtein_distance", "Athena", &["levenshtein(s, t)"]),
    ("codepoint", "Athena", &["ascii(s)"]),
    ("char", "Spark", &["chr(x)"]),
    ("space", "Spark", &["repeat(' ', 3)"]),
    ("isnull", "Spark", &["s is null"]),
    ("isnotnull", "Spark", &["s is not null"]),
    ("is_nan", "Athena", &["isnan(f)"]),
    ("nan", "Athena", &["cast('NaN' as double)"]),
    ("infinity", "Athena", &["cast('Infinity' as double)"]),
    ("string", "Spark", &["cast(x as varchar)"]),
    ("bigint", "Spark", &["cast(f as bigint)"]),
    ("int", "Spark", &["cast(f as int)"]),
    ("double", "Spark", &["cast(x as double)"]),
    ("boolean", "Spark", &["cast(x as boolean)"]),
    ("typeof", "Athena, Spark and DuckDB", &["arrow_typeof(x)"]),
    ("iff ifelse", "Spark", &["if(b, x, y)"]),
    ("zeroifnull", "Spark", &["coalesce(x, 0)"]),
    ("nullifzero", "Spark", &["nullif(x, 0)"]),
    ("truncate", "Athena", &["trunc(f)"]),
    ("sign", "Athena, Spark and DuckDB", &["signum(f)"]),
    ("pmod", "Spark", &["((x % 3) + 3) % 3"]),
    ("e", "Athena and Spark", &["exp(1)"]),
    ("bitwise_and", "Athena", &["x & y"]),
    ("bitwise_or", "Athena", &["x | y"]),
    ("bitwise_left_shift", "Athena", &["x << 2"]),
    ("shiftleft", "Spark", &["x << 2"]),
    ("bitwise_right_shift", "Athena", &["x >> 2"]),
    ("shiftright", "Spark", &["x >> 2"]),
    ("arbitrary", "Athena and DuckDB", &["min(s)", "max(s)"]),
    ("first any", "Spark and DuckDB", &["min(s)", "first_value(s order by x, s)"]),
    ("last", "Spark and DuckDB", &["max(s)", "last_value(s order by x, s)"]),
    ("max_by", "Athena, Spark and DuckDB", &["first_value(s order by x desc nulls last, s)"]),
    ("min_by", "Athena, Spark and DuckDB", &["first_value(s order by x nulls last, s)"]),
    ("arg_max argmax", "DuckDB", &["first_value(s order by x desc nulls last, s)"]),
    ("arg_min argmin", "DuckDB", &["first_value(s order by x nulls last, s)"]),
    ("listagg", "Athena, Spark and DuckDB", &["string_agg(s, ',' order by s)"]),
    ("group_concat", "DuckDB", &["string_agg(s, ',' order by s)"]),
    ("collect_list", "Spark", &["array_agg(s order by s)"]),
    ("list", "DuckDB", &["array_agg(s order by s)"]),
    ("collect_set", "Spark", &["array_agg(distinct s order by s)"]),
    ("countif", "DuckDB", &["count_if(b)"]),
    ("sum_if sumif", "DuckDB", &["sum(x) filter (where b)"]),
    ("approx_percentile", "Athena and Spark", &["percentile_cont(0.5) within group (order by f)"]),
    ("percentile percentile_approx", "Spark", &["percentile_cont(0.5) within group (order by f)"]),
    ("quantile approx_quantile", "DuckDB", &["percentile_cont(0.5) within group (order by f)"]),
    ("approx_count_distinct", "Spark and DuckDB", &["count(distinct s)"]),
    ("geometric_mean", "Athena and DuckDB", &["exp(avg(ln(f)))"]),
    ("size", "Spark", &["cardinality(tags)"]),
    ("array_size", "Spark", &["cardinality(tags)"]),
    ("sort_array", "Spark", &["array_sort(tags)"]),
    ("slice", "Athena and Spark", &["tags[1:2]"]),
    ("sequence", "Athena and Spark", &["generate_series(1, x)"]),
    ("list_value", "DuckDB", &["[s, t]"]),
    ("struct_pack", "DuckDB", &["named_struct('a', x, 'b', s)"]),
    ("map_contains_key", "Spark", &["element_at(m, 'k') is not null"]),
    ("to_base64", "Athena", &["encode(cast(s as bytea), 'base64')"]),
    ("base64", "Spark and DuckDB", &["encode(cast(s as bytea), 'base64')"]),
    ("from_base64", "Athena and DuckDB", &["decode(s, 'base64')"]),
    ("unbase64", "Spark", &["decode(s, 'base64')"]),
    ("from_hex", "Athena and DuckDB", &["decode(s, 'hex')"]),
    ("unhex", "Spark and DuckDB", &["decode(s, 'hex')"]),
];

const APART: &str =
    "take the array apart: `cross join unnest(tags) as t(tag)`, and `group by` to put it together again";
const ROWS: &str = "write `from n cross join unnest(tags) as t(tag)`";
const JSON: &str = "give the column its type under [columns], such as `struct<a:long,b:array<string>>`, or write \
     `json_extract_scalar(s, '$.a')`";

/// Names, their engines, and another way to the same result.
pub(crate) const ANOTHER_WAY: &[(&str, &str, &str)] = &[
    ("filter transform reduce any_match all_match none_match zip_with transform_values map_filter", "Athena", APART),
    ("aggregate exists forall map_zip_with transform_keys", "Spark", APART),
    ("list_transform list_filter list_apply list_reduce array_transform array_filter array_apply", "DuckDB", APART),
    ("explode explode_outer posexplode posexplode_outer inline inline_outer stack", "Spark", ROWS),
    ("zip", "Athena", "write `from n cross join unnest(tags, more) as t(tag, other)`"),
    ("json_parse json_array_get json_array_length json_size json_format", "Athena", JSON),
    ("get_json_object from_json json_tuple schema_of_json json_object_keys", "Spark", JSON),
    ("json_extract_string json_extract_path json_extract_path_text json_transform", "DuckDB", JSON),
    ("json_value json_query json_exists", "Athena and DuckDB", JSON),
    ("try", "Athena and DuckDB", "write `try_cast(...)`, or `case when ... then ... end` around what can fail"),
    ("monotonically_increasing_id", "Spark", "a landing table has `source_file` and `source_offset`"),
    ("randn", "Spark", "a query has the same result whenever it runs: use a column instead"),
    ("sha1", "Athena and DuckDB", "write `sha256(...)`"),
];

/// Names of functions without a replacement.
const NOTHING: &[(&str, &str)] = &[
    (
        "bit_count bitwise_not bitwise_xor checksum classify_regression combinations convex_hull_agg cosine_similarity \
         entropy from_big_endian_64 from_ieee754_64 hamming_distance hash_counts histogram hmac_sha256 inverse_normal_cdf \
         kurtosis learn_classifier map_agg map_concat map_from_entries map_union merge multimap_agg \
         multimap_from_entries ngrams normalize numeric_histogram parse_duration qdigest_agg regexp_extract_all \
         regexp_split skewness soundex split_to_map st_area st_distance tdigest_agg timezone_hour timezone_minute \
         to_big_endian_64 to_utf8 from_utf8 url_decode url_encode url_extract_host url_extract_parameter url_extract_path \
         url_extract_query width_bucket wilson_interval_lower word_stem xxhash64 year_of_week yow",
        "Athena",
    ),
    (
        "array_insert assert_true bround conv crc32 from_csv hash hypot mask next_day parse_url \
         sentences shuffle str_to_map to_csv to_json try_add try_divide try_subtract xpath",
        "Spark",
    ),
    ("bar count_star list_aggregate mode pivot product regexp_split_to_array reservoir_quantile", "DuckDB"),
];

/// The hint for a function that does not exist.
pub(crate) fn hint(name: &str) -> Option<String> {
    let has = |names: &str| names.split_whitespace().any(|known| known == name);
    let have = |whose: &str| if whose.contains(" and ") { "have" } else { "has" };
    if let Some((_, whose, here)) = SPELLED.iter().find(|(names, ..)| has(names)) {
        let here: Vec<String> = here.iter().map(|expr| format!("`{expr}`")).collect();
        return Some(format!("{whose} {} it; here write {}", have(whose), here.join(" or ")));
    }
    if let Some((_, whose, here)) = ANOTHER_WAY.iter().find(|(names, ..)| has(names)) {
        return Some(format!("{whose} {} it; here {here}", have(whose)));
    }
    let (_, whose) = NOTHING.iter().find(|(names, _)| has(names))?;
    Some(format!("{whose} has it, and there is nothing like it here: compute it before the files land"))
}
