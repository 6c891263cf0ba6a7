//! Archives that say two things at once, or hold what torch never writes: all of them are denied.

use crate::corpus::archives;
use crate::hostile_pickles::assert_denied;

#[test]
fn bytes_outside_the_one_archive_are_denied() {
    archives::outside().iter().for_each(assert_denied);
}

#[test]
fn two_archives_in_one_file_are_denied() {
    archives::two().iter().for_each(assert_denied);
}

#[test]
fn end_records_that_differ_from_the_directory_are_denied() {
    archives::ends().iter().for_each(assert_denied);
}

#[test]
fn headers_that_disagree_are_denied() {
    archives::flags().iter().chain(&archives::headers()).for_each(assert_denied);
}

#[test]
fn members_that_torch_does_not_write_are_denied() {
    archives::members().iter().for_each(assert_denied);
}

#[test]
fn members_that_are_no_plain_files_are_denied() {
    archives::kinds().iter().for_each(assert_denied);
}

#[test]
fn very_many_members_are_denied_or_read_quickly() {
    archives::crowds().iter().for_each(assert_denied);
}
