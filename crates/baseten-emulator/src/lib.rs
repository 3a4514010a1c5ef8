//! An in-process stand-in for Baseten's inference API, with faults on purpose.
