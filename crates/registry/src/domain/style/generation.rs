//! Pictures of a style that a team asks for: what may be asked.

use crate::domain::EvaluationState;
use crate::error::{Error, Result};

/// Where a generation is; the states are those of an evaluation.
pub type GenerationState = EvaluationState;

/// Pictures of one request.
pub const MAX_GENERATED_PICTURES: u32 = 4;
/// Sides of a picture, pixels; multiples of 8.
const SIDES: std::ops::RangeInclusive<u32> = 64..=2048;
/// Longest text of what a picture shall not show, characters.
const MAX_NEGATIVE_CHARACTERS: usize = 4000;
/// Longest idempotency key, characters.
const MAX_KEY_CHARACTERS: usize = 255;

/// A team's own name for a request, under which the same request has the same answer: 1 to 255 visible ASCII characters.
pub fn idempotency_key(text: &str) -> Result<String> {
    let is_right =
        (1..=MAX_KEY_CHARACTERS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_right {
        return Ok(text.to_owned());
    }
    let message = format!("an `Idempotency-Key` is 1 to {MAX_KEY_CHARACTERS} visible ASCII characters");
    Err(Error::invalid("bad_idempotency_key", "Idempotency-Key", message))
}

/// Refuses a side that no picture of a style has.
pub fn judge_side(field: &str, side: Option<u32>) -> Result<()> {
    match side {
        Some(side) if !SIDES.contains(&side) || !side.is_multiple_of(8) => {
            let (least, most) = (SIDES.start(), SIDES.end());
            let message =
                format!("`{field}` must be a multiple of 8 from {least} to {most}, and not `{side}`");
            Err(Error::invalid("out_of_bounds", field, message))
        }
        _ => Ok(()),
    }
}

/// Refuses a number of pictures that no request has.
pub fn judge_pictures(count: u32) -> Result<()> {
    if (1..=MAX_GENERATED_PICTURES).contains(&count) {
        return Ok(());
    }
    let message = format!("`images` must be from 1 to {MAX_GENERATED_PICTURES}, and not `{count}`");
    Err(Error::invalid("out_of_bounds", "images", message))
}

/// Refuses a negative prompt that is no text for a generator.
pub fn judge_negative(text: &str) -> Result<()> {
    if text.chars().count() <= MAX_NEGATIVE_CHARACTERS && !text.contains('\0') {
        return Ok(());
    }
    let message = format!(
        "the negative prompt must have at most {MAX_NEGATIVE_CHARACTERS} characters and no zero byte"
    );
    Err(Error::invalid("bad_prompt", "negative_prompt", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_its_range_is_refused_by_name() {
        assert!(judge_side("width", None).is_ok() && judge_side("width", Some(1024)).is_ok());
        for side in [0, 56, 1023, 2056] {
            let refused = judge_side("height", Some(side)).expect_err("out of range").to_string();
            assert!(refused.starts_with("`height` must be"), "{refused}");
        }
        assert!(judge_pictures(1).is_ok() && judge_pictures(4).is_ok());
        assert!(judge_pictures(0).is_err() && judge_pictures(5).is_err());
        assert!(judge_negative("blurry").is_ok() && judge_negative(&"a".repeat(4001)).is_err());
    }

    #[test]
    fn an_idempotency_key_is_short_and_visible() {
        assert_eq!(idempotency_key("order-17/a").expect("good"), "order-17/a");
        for wrong in ["", "a b", "ä", "a\n", &"a".repeat(256)] {
            assert_eq!(idempotency_key(wrong).expect_err(wrong).code(), "bad_idempotency_key");
        }
    }
}
