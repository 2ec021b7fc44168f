//! penstock-journeys
