//! Number literals of JSON as column values, if nothing is lost.

/// Why a literal does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// More decimal places than the type keeps.
    Fraction,
    /// Too large or too small for the type.
    Range,
    /// The nearest value of the type is another number.
    Inexact,
}

/// `literal * 10^scale` as an integer. The literal must be a JSON number.
pub(super) fn scaled(literal: &str, scale: i64) -> Result<i128, Misfit> {
    let (negative, rest) = match literal.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, literal),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], exponent(&rest[at + 1..])),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // The value is the digits without leading and trailing zeros, times ten to the power of `shift`.
    let trailing = trailing_zeros(whole, fraction);
    let digits = || whole.bytes().chain(fraction.bytes()).take(whole.len() + fraction.len() - trailing);
    let significant = digits().skip_while(|b| *b == b'0').count();
    if significant == 0 {
        return Ok(0);
    }
    let shift = exponent.saturating_sub(fraction.len() as i64).saturating_add(trailing as i64).saturating_add(scale);
    if shift < 0 {
        return Err(Misfit::Fraction);
    }
    if (significant as i64).saturating_add(shift) > 39 {
        return Err(Misfit::Range);
    }
    let zeros = std::iter::repeat_n(b'0', usize::try_from(shift).map_err(|_| Misfit::Range)?);
    let mut value: i128 = 0;
    for digit in digits().skip_while(|b| *b == b'0').chain(zeros) {
        let digit = i128::from(digit - b'0');
        value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(Misfit::Range)?;
    }
    Ok(if negative { -value } else { value })
}

/// Zeros at the end of the digits of `whole` and `fraction`.
fn trailing_zeros(whole: &str, fraction: &str) -> usize {
    whole.bytes().chain(fraction.bytes()).rev().take_while(|b| *b == b'0').count()
}

/// An exponent as written; absurd ones saturate far from everything that fits.
fn exponent(text: &str) -> i64 {
    const FAR: i64 = 1 << 40;
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let size = digits.bytes().fold(0_i64, |size, b| (size * 10 + i64::from(b.wrapping_sub(b'0'))).min(FAR));
    if negative { -size } else { size }
}

/// The literal as a 64-bit integer.
#[inline]
pub(super) fn integer(literal: &str) -> Result<i64, Misfit> {
    let bytes = literal.as_bytes();
    let (negative, digits) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        _ => (false, bytes),
    };
    // 18 digits cannot overflow.
    if !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit) {
        let size = digits.iter().fold(0_i64, |size, b| size * 10 + i64::from(b - b'0'));
        return Ok(if negative { -size } else { size });
    }
    i64::try_from(scaled(literal, 0)?).map_err(|_| Misfit::Range)
}

/// Whether the literal has neither fraction nor exponent.
fn is_integer(literal: &str) -> bool {
    !literal.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'))
}

/// The literal as a double: integers exactly, decimal numbers as the nearest double.
#[inline]
pub(super) fn double(literal: &str) -> Result<f64, Misfit> {
    let value: f64 = literal.parse().map_err(|_| Misfit::Range)?;
    if value.is_infinite() {
        return Err(Misfit::Range);
    }
    // Integers of up to 15 digits are exact.
    if literal.len() > 15 && is_integer(literal) && format!("{value:.0}") != literal {
        return Err(Misfit::Inexact);
    }
    Ok(value)
}

/// The literal as a float: exactly, or as the float whose shortest decimal form is the literal.
pub(super) fn float(literal: &str) -> Result<f32, Misfit> {
    let wide = double(literal)?;
    let value: f32 = literal.parse().map_err(|_| Misfit::Range)?;
    if value.is_infinite() {
        return Err(Misfit::Range);
    }
    if f64::from(value) == wide {
        return Ok(value);
    }
    let printed: f64 = format!("{value:e}").parse().map_err(|_| Misfit::Inexact)?;
    if printed == wide && !is_integer(literal) { Ok(value) } else { Err(Misfit::Inexact) }
}
