//! What holds for all tests of a boot together. Tests run in the order of their names, and no module's comes later.

use crate::harness::end_shared_tracer;

#[test]
fn the_shared_tracer_lost_nothing_and_left_nothing_without_an_author() {
    end_shared_tracer();
}
