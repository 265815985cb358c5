// A person with a passkey, in a real browser and with its own idea of WebAuthn. The authenticator is
// Chromium's virtual one: it has a resident key and makes sure of its user.

export default async function (open, { url, email, password }) {
  const ask = async (method, path, { token, body } = {}) => {
    const headers = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text && JSON.parse(text) };
  };
  const must = async (...call) => {
    const { status, body } = await ask(...call);
    if (status >= 300) throw new Error(`${call[0]} ${call[1]}: ${status} ${JSON.stringify(body)}`);
    return body;
  };

  // Any page of the product will do: what counts is whose it is.
  const page = await open();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await page.goto(`${url}/.well-known/jwks.json`);
  const create = (options) =>
    page.evaluate(async (json) => {
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json);
      return (await navigator.credentials.create({ publicKey })).toJSON();
    }, options.public_key);
  const get = (options) =>
    page.evaluate(async (json) => {
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(json);
      return (await navigator.credentials.get({ publicKey })).toJSON();
    }, options.public_key);

  const login = { body: { email, password } };
  const { access_token: token } = await must("POST", "/v1/auth/login", login);
  const wish = await must("POST", "/v1/me/passkeys/options", { token });
  const credential = await create(wish);
  const passkey = await must("POST", "/v1/me/passkeys", {
    token,
    body: { name: "the journey's", credential },
  });

  // As the only factor, with nobody named.
  const request = await must("POST", "/v1/auth/passkey/options");
  const proof = { body: { credential: await get(request) } };
  const tokens = await must("POST", "/v1/auth/passkey/verify", proof);
  const me = await must("GET", "/v1/me", { token: tokens.access_token });
  const replay = await ask("POST", "/v1/auth/passkey/verify", proof);

  // As the second factor, after the password.
  const due = await ask("POST", "/v1/auth/login", login);
  const { mfa_token } = due.body;
  const challenge = await must("POST", "/v1/auth/mfa/challenge", {
    body: { mfa_token, factor: "passkey" },
  });
  const second = await must("POST", "/v1/auth/mfa/verify", {
    body: { mfa_token, proof: { factor: "passkey", credential: await get(challenge.passkey) } },
  });

  // The device knows that it has one.
  const again = await create(await must("POST", "/v1/me/passkeys/options", { token: second.access_token }))
    .then(() => "made", (error) => `${error}`);
  return { passkey, me, replay, due, again, second: Boolean(second.access_token) };
}
