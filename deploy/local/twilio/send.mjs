// Sends text messages as Twilio's own library does, to a Twilio of the test's choice. Asked by a JSON
// text in TWILIO: `api`, `account_sid`, `auth_token` and `messages` (what the library calls `to`,
// `from`, `messagingServiceSid` and `body`); its packages lie in TWILIO_MODULES. Says what came of
// each as a line of JSON.

import { createRequire } from "node:module";

const twilio = createRequire(`${process.env.TWILIO_MODULES}/`)("twilio");
const { api, account_sid, auth_token, messages } = JSON.parse(process.env.TWILIO);

// The library knows one Twilio; this sends what it asks to another.
class Elsewhere extends twilio.RequestClient {
  request(options) {
    const { pathname, search } = new URL(options.uri);
    return super.request({ ...options, uri: `${api}${pathname}${search}` });
  }
}

const httpClient = new Elsewhere({ timeout: 10_000 });
const client = twilio(account_sid, auth_token, { httpClient });
for (const message of messages) {
  const outcome = await client.messages.create(message).then(
    ({ sid, status, to, body }) => ({ sid, status, to, body }),
    ({ status, code, message }) => ({ status, code, message }),
  );
  console.log(JSON.stringify(outcome));
}
