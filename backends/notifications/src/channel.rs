//! Channels by the names that rows give them.

use events::Channel;

pub(crate) fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "email",
        Channel::Sms => "sms",
    }
}

/// The channel of a name; none is one of a later version.
pub(crate) fn of(written: &str) -> Option<Channel> {
    let mut all = [Channel::Email, Channel::Sms].into_iter();
    all.find(|channel| name(*channel) == written)
}
