#!/usr/bin/env bash
# Plays the story with curl against a running system, says what it does and what it sees, and ends
# with a failure at the first surprise. Run it as often as you like; `make demo` does.
set -euo pipefail
cd "$(dirname "$0")/.."

edge=${EDGE:-https://localhost:8443}
ca=${CA:-certs/dev/ca.pem}
people=${PEOPLE:-var/demo.json}
inbox=${INBOX:-http://127.0.0.1:8025}
backend=${BACKEND:-http://127.0.0.1:9081}
management=${MANAGEMENT:-http://127.0.0.1:9440}

for tool in curl jq; do
  command -v "$tool" >/dev/null || { echo "This needs $tool: apt-get install $tool" >&2; exit 1; }
done
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

say() { printf '\n%s\n' "$*"; }
see() { printf '   %s\n' "$*"; }
fail() {
  printf '\nSURPRISE: %s\n' "$*" >&2
  [ ! -s "$room/body" ] || { printf 'The last answer was %s:\n' "${status:-none}"; cat "$room/body"; echo; } >&2
  exit 1
}

# call METHOD PATH [curl's arguments]: leaves $status, and head and body in the room. Where a limit
# that an earlier run has used up holds us off, it waits as long as it is told to.
call() {
  local method=$1 path=$2
  shift 2
  for _ in 1 2 3; do
    status=$(curl -sS --max-time 20 --cacert "$ca" --path-as-is -X "$method" -D "$room/head" -o "$room/body" \
      -w '%{http_code}' "$@" "$edge$path") || fail "no answer from $edge$path: does it run? (make run)"
    [ "$status" = 429 ] && [ -z "${expects_429:-}" ] || return 0
    see "the limit says 429; waiting $(header retry-after) s, as Retry-After asks"
    sleep "$(header retry-after)"
  done
}
post() { local path=$1 body=$2; shift 2; call POST "$path" -H 'content-type: application/json' -d "$body" "$@"; }
header() { tr -d '\r' <"$room/head" | awk -v name="$1:" 'tolower($1) == name { sub(/^[^ ]* /, ""); print }' | tail -1; }
field() { jq -r "$1" <"$room/body"; }
# want STATUS WHAT: the status must be this one; says what it means.
want() {
  [ "$status" = "$1" ] || fail "$2: $1 was due, not $status"
  see "$1: $2"
}
problem() {
  want "$1" "$3"
  [ "$(field .code)" = "$2" ] || fail "$3: the problem's code should be $2"
}

[ -r "$ca" ] && [ -r "$people" ] || fail "$ca or $people is not there: start it first (make run)"
email="demo-$(date +%s)-$$@example.com"
password="a demo's long password"
credentials=$(jq -nc --arg e "$email" --arg p "$password" '{email: $e, password: $p}')

say "1. $email asks for an account."
post /v1/auth/register "$credentials"
want 202 'accepted; a known address would be answered just so'
flow=$(field .flow_id)
for _ in $(seq 50); do
  code=$(curl -sS "$inbox/api/messages" | jq -r --arg to "$email" '[.[] | select(.to | tostring | contains($to))][0].text // ""' \
    | grep -oE '\b[0-9]{6}\b' | head -1) || true
  [ -z "$code" ] || break
  sleep 0.2
done
[ -n "$code" ] || fail "no mail with a code came to $inbox"
see "the mail is in $inbox, its code is $code"

say '2. The code proves the address, the password opens a session.'
post /v1/auth/verify "$(jq -nc --arg f "$flow" --arg c "$code" '{flow_id: $f, code: $c}')"
want 200 'the address is proven'
post /v1/auth/login "$credentials"
want 200 "signed in; the access token is good for $(field .expires_in) s"
refresh=$(field .refresh_token)
post /v1/auth/refresh "{\"refresh_token\":\"$refresh\"}"
want 200 'a refresh token was spent for the next pair'
[ "$(field .refresh_token)" != "$refresh" ] || fail 'the refresh token should have changed'
mine=(-H "authorization: Bearer $(field .access_token)")
call GET /.well-known/jwks.json
want 200 "anybody may check tokens, with $(field '.keys | length') public key(s) of type $(field '.keys[0].crv')"
call GET /v1/me "${mine[@]}"
want 200 "I am $(field .email)"

say '3. A demo account pays.'
# The wallet is opened by an event, so it may come a moment later.
for _ in $(seq 50); do
  call GET /v1/wallets "${mine[@]}"
  [ "$(field '.items | length')" = 0 ] || break
  sleep 0.2
done
want 200 "my wallet holds $(field '.items[0].posted') $(field '.items[0].currency')"
to=$(field '.items[0].id')
payer=$(jq -c '[.[] | select(.role == "user")][0] | {email, password}' "$people")
post /v1/auth/login "$payer"
want 200 "$(jq -r .email <<<"$payer") signs in"
theirs=(-H "authorization: Bearer $(field .access_token)")
call GET /v1/wallets "${theirs[@]}"
want 200 "theirs holds $(field '.items[0].posted')"
from=$(field '.items[0].id') before=$(field '.items[0].posted')
wish() { jq -nc --arg f "$from" --arg t "$to" --argjson a "$1" '{from: $f, to: $t, amount: {amount: $a, currency: "USD"}}'; }
key=(-H "idempotency-key: $email")
post /v1/transfers "$(wish 1234)" "${theirs[@]}" "${key[@]}"
want 201 '12.34 USD are sent'
cp "$room/body" "$room/first"
post /v1/transfers "$(wish 1234)" "${theirs[@]}" "${key[@]}"
want 201 'the same key again'
cmp -s "$room/body" "$room/first" || fail 'the same key should have the same answer'
call GET /v1/wallets "${theirs[@]}"
[ "$(field '.items[0].posted')" = $((before - 1234)) ] || fail 'money should have moved once'
see 'the same answer, and money moved once'
post /v1/transfers "$(wish 1)" "${theirs[@]}" "${key[@]}"
problem 409 idempotency_key_reused 'another body under that key is refused'
post /v1/transfers "$(wish "$before")" "${theirs[@]}" -H "idempotency-key: $email-too-much"
problem 422 insufficient_funds 'nobody sends more than they have'
call GET "/v1/wallets/$from/entries?limit=1" "${theirs[@]}"
want 200 'the newest entry of their journal'
cursor=$(field .next_cursor)
call GET "/v1/wallets/$from/entries?limit=1&cursor=$cursor" "${theirs[@]}"
want 200 'and by its cursor the one before'

say '4. The guard.'
call GET /v1/me
problem 401 unauthenticated 'nobody without a token'
call GET /v1/me -H 'x-user-id: admin' -H 'X_User_Id: admin' -H 'x-identity: forged'
problem 401 unauthenticated 'nobody by headers of their own either'
call GET /v1/me "${mine[@]}" -H 'x-user-id: 01890000-0000-7000-8000-000000000001'
[ "$(field .email)" = "$email" ] || fail 'a header of the client changed who they are'
see 'a token with a forged header: still the same person'
post /v1/auth/register '{"email":1}'
problem 400 bad_body 'a body that the OpenAPI document does not know stays outside'
for path in /v1/../v1/me /v1%2fme; do
  call GET "$path"
  want 400 "$path is no path"
done
call GET /v1/nothing-here
problem 404 not_found 'an unknown path'
call GET /v1/notifications "${mine[@]}"
problem 403 forbidden 'what is for admins alone'
status=$(curl -sS -o "$room/body" -w '%{http_code}' -H 'x-identity: forged' "$backend/v1/me")
want 401 "a backend asked directly ($backend) wants the gateway's seal"

say '5. The cache.'
call GET /v1/currencies
call GET /v1/currencies
want 200 "cache-status: $(header cache-status)"
[[ $(header cache-status) == *hit* ]] || fail 'the second answer should be a hit'

say '6. What an operator sees.'
curl -sS "$management/metrics" >"$room/metrics"
grep -q 'route="' "$room/metrics" || fail "no requests in $management/metrics"
see "$(grep -c '^[a-z]' "$room/metrics") series on $management/metrics, each request's route among their labels"

say '7. Too many logins within a minute.'
expects_429=yes
for attempt in 1 2 3 4 5 6; do
  post /v1/auth/login '{"email":"nobody@example.com","password":"a wrong one"}'
  [ "$status" != 429 ] || break
  [ "$status" = 401 ] || fail 'a wrong password should be 401'
done
problem 429 rate_limited "attempt $attempt is held off for $(header retry-after) s; sign-ins before it counted too"

say 'That is the whole story, without a surprise.'
