//! The colours of the stylesheet, measured: text at 4.5 to 1, borders of fields at 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11),
//! in both themes.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../assets/style.css");
const GROUNDS: [&str; 3] = ["ground", "surface", "raised"];
const TEXTS: [&str; 7] = ["text", "muted", "accent", "good", "warn", "bad", "busy"];

/// Each colour token in the light and in the dark theme.
fn tokens() -> BTreeMap<&'static str, [&'static str; 2]> {
    let token = |line: &'static str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": light-dark(")?;
        let (light, dark) = value.strip_suffix(");")?.split_once(", ")?;
        Some((name, [light, dark]))
    };
    STYLE.lines().filter_map(token).collect()
}

/// Relative luminance of `#rrggbb`.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("hexadecimal")) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn assert_apart(one: &str, other: &str, least: f64) {
    let tokens = tokens();
    for (theme, (one_colour, other_colour)) in
        ["light", "dark"].into_iter().zip(tokens[one].iter().zip(tokens[other]))
    {
        let ratio = contrast(one_colour, other_colour);
        assert!(ratio >= least, "--{one} on --{other} in the {theme} theme: {ratio:.2} to 1");
    }
}

#[test]
fn texts_stand_out_from_every_ground_in_both_themes() {
    for text in TEXTS {
        for ground in GROUNDS {
            assert_apart(text, ground, 4.5);
        }
    }
    assert_apart("on-accent", "accent", 4.5);
}

#[test]
fn borders_of_fields_stand_out_in_both_themes() {
    for ground in GROUNDS {
        assert_apart("edge", ground, 3.0);
    }
}

#[test]
fn names_in_the_picture_of_the_disk_stand_out() {
    let fills =
        STYLE.split(".treemap .k").skip(1).map(|rule| &rule[rule.find('#').expect("a colour")..][..7]);
    let fills: Vec<&str> = fills.collect();
    assert_eq!(fills.len(), 8);
    for fill in fills {
        assert!(contrast("#ffffff", fill) >= 4.5, "{fill}");
    }
}

#[test]
fn nothing_moves_for_those_who_want_no_motion() {
    let (still, moving) = STYLE.split_once("prefers-reduced-motion: no-preference").expect("asked for");
    assert!(!still.contains("transition:") && !still.contains("animation:"));
    assert!(moving.contains("transition:"));
}
