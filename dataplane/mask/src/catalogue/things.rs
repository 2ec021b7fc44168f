//! Numbers of vehicles and devices.

use super::{Detector, pattern};
use crate::validators;

static DETECTORS: &[Detector] = &[
    Detector {
        name: "VIN",
        about: "vehicles, near words that say so",
        default: false,
        patterns: &[pattern(r"[A-HJ-NPR-Za-hj-npr-z0-9]{17}").valid(validators::vin).near(&[
            "vin",
            "chassis",
            "vehicle",
            "fahrgestell",
            "fahrzeug",
            "fin ",
            "châssis",
            "bastidor",
            "telaio",
        ])],
        positives: &[
            "VIN «1M8GDM9AXKP042788»",
            "vehicle: «1HGCM82633A004352»",
            "FIN: «1M8GDM9AXKP042788»",
            "Número de bastidor «1HGCM82633A004352»",
        ],
        near_misses: &["VIN 1M8GDM9AXKP042789", "1M8GDM9AXKP042788", "final 1M8GDM9AXKP042788"],
    },
    Detector {
        name: "IMEI",
        about: "mobile devices, near words that say so",
        default: false,
        patterns: &[pattern(concat!(
            r"[0-9]{2}[ \-]?[0-9]{6}[ \-]?[0-9]{6}[ \-]?[0-9]|[0-9]{6}[ \-]",
            r"[0-9]{2}[ \-][0-9]{6}[ \-][0-9]"
        ))
        .valid(validators::luhn)
        .near(&["imei", "device"])],
        positives: &[
            "IMEI «490154203237518»",
            "imei: «49-015420-323751-8»",
            "IMEI «490154 20 323751 8»",
        ],
        near_misses: &["IMEI 490154203237519", "490154203237518", "IMEI 490154 20 323751 9"],
    },
];

pub(super) fn detectors() -> &'static [Detector] {
    DETECTORS
}
