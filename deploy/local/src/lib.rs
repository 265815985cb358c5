//! How apps are started, stopped, configured and watched.
