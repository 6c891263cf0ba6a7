//! Names that a pickle may not import, by every way that scanners have missed.

use crate::corpus::{Hostile, globals};
use crate::hostile_pickles::assert_denied;

#[test]
fn every_name_that_is_not_on_the_list_is_denied() {
    globals::dangerous().iter().flat_map(Hostile::cases).for_each(|case| assert_denied(&case));
}

#[test]
fn dotted_names_do_not_reach_around_the_list() {
    globals::dotted().iter().flat_map(Hostile::cases).for_each(|case| assert_denied(&case));
}
