// Does what a client of ours would, by npm's openid-client. Asked by a JSON text in OPENID_CLIENT:
// `issuer`, the `client` (`id`, and a `secret` for `client_secret_basic` or `client_secret_post`, a
// private `jwk` for `private_key_jwt`, or nothing for a public client; `method` names which), and the
// `calls` to make: each a list of a name and its arguments. Its packages lie in OPENID_CLIENT_MODULES,
// the authority that it believes in NODE_EXTRA_CA_CERTS. Says what came of each as a line of JSON.

import { pathToFileURL } from "node:url";

const entry = `${process.env.OPENID_CLIENT_MODULES}/openid-client/build/index.js`;
const openid = await import(pathToFileURL(entry).href);
const wish = JSON.parse(process.env.OPENID_CLIENT);
const { id, secret, jwk, method } = wish.client;

async function proof() {
  switch (method) {
    case "client_secret_basic":
      return openid.ClientSecretBasic(secret);
    case "client_secret_post":
      return openid.ClientSecretPost(secret);
    case "private_key_jwt": {
      const name = jwk.kty === "OKP" ? "Ed25519" : { name: "ECDSA", namedCurve: jwk.crv };
      const key = await crypto.subtle.importKey("jwk", jwk, name, false, ["sign"]);
      return openid.PrivateKeyJwt({ key, kid: jwk.kid });
    }
    default:
      return openid.None();
  }
}

const calls = {
  async metadata(config) {
    return config.serverMetadata();
  },
  clientCredentials: (config, parameters) => openid.clientCredentialsGrant(config, parameters),
  refresh: (config, token) => openid.refreshTokenGrant(config, token),
  introspect: (config, token) => openid.tokenIntrospection(config, token),
  revoke: (config, token) => openid.tokenRevocation(config, token),
  userinfo: (config, token, subject) => openid.fetchUserInfo(config, token, subject),
};

const where = new URL(wish.issuer);
const algorithm = wish.algorithm ?? "oidc";
const config = await openid.discovery(where, id, undefined, await proof(), { algorithm });
for (const [name, ...parameters] of wish.calls) {
  const outcome = await calls[name](config, ...parameters).then(
    (answer) => ({ answer: answer ?? null }),
    (error) => ({ error: error.error ?? error.code ?? `${error}`, status: error.status }),
  );
  console.log(JSON.stringify(outcome));
}
