//! What every handler speaks: callers, problems, pages, keys, input.
