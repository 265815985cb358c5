//! What one app tells the others.
