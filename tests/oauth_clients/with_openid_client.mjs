// openid-client at our server: node with_openid_client.mjs <node_modules>, and a configuration on a line of its own.
// It asks to be taken to a URL by printing it, and reads from its input where the browser came back.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [folder] = process.argv.slice(2)
const client = await import(pathToFileURL(`${folder}/openid-client/build/index.js`))
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => JSON.parse((await lines.next()).value)
const say = (message) => console.log(JSON.stringify(message))
const given = await read()

const imported = (jwk) =>
  crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const proofs = {
  client_secret_basic: () => client.ClientSecretBasic(given.secret),
  client_secret_post: () => client.ClientSecretPost(given.secret),
  none: () => client.None(),
  private_key_jwt: async () => client.PrivateKeyJwt({ key: await imported(given.jwk), kid: given.jwk.kid }),
}
const config = await client.discovery(
  new URL(given.issuer),
  given.client_id,
  {},
  await proofs[given.method](),
  { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
)

// What an attempt fails with, as the library tells it.
async function failure(attempt) {
  try {
    return { passed: await attempt() }
  } catch (error) {
    return { code: error.code, error: error.error, description: error.error_description, status: error.status }
  }
}

async function visit(action, parameters = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: given.redirect_uri,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    scope: given.scope,
    state,
    ...parameters,
  })
  say({ [action]: url.href })
  return { came: new URL(await read()), checks: { pkceCodeVerifier: verifier, expectedState: state } }
}

const steps = {
  async code() {
    const { came, checks } = await visit('allow')
    const tokens = [await client.authorizationCodeGrant(config, came, checks)]
    for (let i = 0; i < 2; i++) {
      tokens.push(await client.refreshTokenGrant(config, tokens.at(-1).refresh_token))
    }
    const answer = { tokens, expires_in: tokens[0].expiresIn() }
    const { access_token, refresh_token } = tokens.at(-1)
    if (given.method !== 'none') answer.told = await client.tokenIntrospection(config, access_token)
    await client.tokenRevocation(config, refresh_token, { token_type_hint: 'refresh_token' })
    if (given.method !== 'none') answer.told_then = await client.tokenIntrospection(config, access_token)
    answer.refreshed_then = await failure(() => client.refreshTokenGrant(config, refresh_token))
    return answer
  },
  async wrong() {
    const denied = await visit('deny')
    const found = { denied: await failure(() => client.authorizationCodeGrant(config, denied.came, denied.checks)) }
    const { came, checks } = await visit('allow')
    const changed = (name, value) => {
      const url = new URL(came)
      url.searchParams.set(name, value)
      return url
    }
    const grant = (url, others = {}) =>
      failure(() => client.authorizationCodeGrant(config, url, { ...checks, ...others }))
    found.state = await grant(changed('state', 'another'))
    found.issuer = await grant(changed('iss', 'https://another.example'))
    const without = new URL(came)
    without.searchParams.delete('iss')
    found.no_issuer = await grant(without)
    found.verifier = await grant(came, { pkceCodeVerifier: client.randomPKCECodeVerifier() })
    await grant(came)
    found.spent = await grant(came)
    const scope = await visit('open', { scope: 'openid' })
    found.scope = await failure(() => client.authorizationCodeGrant(config, scope.came, scope.checks))
    return found
  },
  async own() {
    const token = await client.clientCredentialsGrant(config, { audience: given.audience })
    const refused = await failure(() => client.clientCredentialsGrant(config, { audience: 'https://nobody.example/' }))
    return { token, refused }
  },
  async exchange() {
    const parameters = {
      subject_token: given.subject_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: given.audience,
    }
    const grant_type = 'urn:ietf:params:oauth:grant-type:token-exchange'
    const token = await client.genericGrantRequest(config, grant_type, parameters)
    const elsewhere = { ...parameters, audience: 'https://nobody.example/' }
    return { token, refused: await failure(() => client.genericGrantRequest(config, grant_type, elsewhere)) }
  },
}
say({ done: await steps[given.step]() })
process.exit()
