//! Starts an app on port 0 with a database of its own: for the apps' black-box tests.
