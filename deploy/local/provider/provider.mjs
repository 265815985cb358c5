// An OpenID provider for tests: npm's oidc-provider, with clients and people of the test's choice.
// Configured by a JSON text in PROVIDER, its packages lie in PROVIDER_MODULES. Says
// "ready <issuer>" once it listens. `POST /test/rotate` gives it new signing keys, beside the old
// ones when the body is `keep`.

import { generateKeyPair, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

const entry = `${process.env.PROVIDER_MODULES}/oidc-provider/lib/index.js`;
const { default: Provider, errors } = await import(pathToFileURL(entry).href);
const wish = JSON.parse(process.env.PROVIDER);
const people = wish.accounts ?? {};
const resources = wish.resources ?? {};

const make = promisify(generateKeyPair);
async function keys() {
  const pairs = [
    [await make("rsa", { modulusLength: 2048 }), "RS256"],
    [await make("ec", { namedCurve: "P-256" }), "ES256"],
  ];
  return pairs.map(([pair, alg]) => ({
    ...pair.privateKey.export({ format: "jwk" }),
    kid: randomUUID(),
    alg,
    use: "sig",
  }));
}

let signing = await keys();
let handle = (request, response) => response.writeHead(503).end();
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/test/rotate") {
    rotate(request).then(
      () => response.writeHead(204).end(),
      (error) => response.writeHead(500).end(`${error}`),
    );
  } else {
    handle(request, response);
  }
});
server.listen(wish.port ?? 0, "127.0.0.1", () => {
  open();
  console.log(`ready ${issuer()}`);
});

function issuer() {
  return `http://127.0.0.1:${server.address().port}`;
}

async function rotate(request) {
  let text = "";
  for await (const piece of request) text += piece;
  const fresh = await keys();
  // The first of a kind signs.
  signing = text === "keep" ? [...fresh, ...signing] : fresh;
  open();
}

// Codes, grants and sessions lie in a store that all providers of one process share, so that a new
// one goes on where the last stood.
function open() {
  const provider = new Provider(issuer(), {
    clients: wish.clients ?? [],
    jwks: { keys: signing },
    cookies: { keys: ["of a test"] },
    claims: { openid: ["sub"], profile: ["name", "groups"], email: ["email"] },
    // What the scopes grant stands in the ID token too.
    conformIdTokenClaims: false,
    scopes: ["openid", "offline_access", ...(wish.scopes ?? [])],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: Object.keys(resources).length > 0,
        getResourceServerInfo(_, resource) {
          if (!(resource in resources)) throw new errors.InvalidTarget();
          return resources[resource];
        },
      },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
    },
    async findAccount(_, id) {
      if (wish.accounts && !(id in people)) return undefined;
      return { accountId: id, claims: () => ({ sub: id, ...people[id] }) };
    },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Grant: 600, Session: 600, ClientCredentials: 600, RefreshToken: 600 },
    ...(wish.more ?? {}),
  });
  handle = provider.callback();
}
