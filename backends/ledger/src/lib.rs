//! Double entry: pure rules first, SQL last.
