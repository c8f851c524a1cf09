// oauth4webapi at our server, as with_openid_client.mjs; and as a resource server that reads our tokens.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [folder] = process.argv.slice(2)
const oauth = await import(pathToFileURL(`${folder}/oauth4webapi/build/index.js`))
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => JSON.parse((await lines.next()).value)
const say = (message) => console.log(JSON.stringify(message))
const given = await read()
const insecure = { [oauth.allowInsecureRequests]: true }

const issuer = new URL(given.issuer)
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
)
const client = { client_id: given.client_id }
const imported = (jwk) =>
  crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const proofs = {
  client_secret_basic: () => oauth.ClientSecretBasic(given.secret),
  client_secret_post: () => oauth.ClientSecretPost(given.secret),
  none: () => oauth.None(),
  private_key_jwt: async () => oauth.PrivateKeyJwt({ key: await imported(given.jwk), kid: given.jwk.kid }),
}
const proof = await proofs[given.method]()

async function failure(attempt) {
  try {
    return { passed: await attempt() }
  } catch (error) {
    return { code: error.code, error: error.error, description: error.error_description, status: error.status }
  }
}

async function visit(action) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const url = new URL(as.authorization_endpoint)
  const parameters = {
    client_id: client.client_id,
    redirect_uri: given.redirect_uri,
    response_type: 'code',
    scope: given.scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  say({ [action]: url.href })
  return { came: new URL(await read()), verifier, state }
}

async function redeem({ came, verifier, state }) {
  const parameters = oauth.validateAuthResponse(as, client, came, state)
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, proof, parameters, given.redirect_uri, verifier, insecure,
  )
  return oauth.processAuthorizationCodeResponse(as, client, response)
}

async function refresh(token) {
  const response = await oauth.refreshTokenGrantRequest(as, client, proof, token, insecure)
  return oauth.processRefreshTokenResponse(as, client, response)
}

async function introspect(token) {
  const response = await oauth.introspectionRequest(as, client, proof, token, insecure)
  return oauth.processIntrospectionResponse(as, client, response)
}

async function generic(grant_type, parameters) {
  const response = await oauth.genericTokenEndpointRequest(as, client, proof, grant_type, parameters, insecure)
  return oauth.processGenericTokenEndpointResponse(as, client, response)
}

const verify = (token, audience) =>
  oauth.validateJwtAccessToken(
    as,
    new Request('https://api.example/', { headers: { authorization: `Bearer ${token}` } }),
    audience,
    { ...insecure, signingAlgorithms: ['ES256'] },
  )

const steps = {
  async code() {
    const tokens = [await redeem(await visit('allow'))]
    for (let i = 0; i < 2; i++) tokens.push(await refresh(tokens.at(-1).refresh_token))
    const { access_token, refresh_token } = tokens.at(-1)
    const answer = { tokens, claims: await verify(access_token, given.resource) }
    answer.elsewhere = await failure(() => verify(access_token, 'https://another.example/'))
    if (given.method !== 'none') answer.told = await introspect(access_token)
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, proof, refresh_token, insecure),
    )
    if (given.method !== 'none') answer.told_then = await introspect(access_token)
    answer.refreshed_then = await failure(() => refresh(refresh_token))
    return answer
  },
  async wrong() {
    const found = { denied: await failure(async () => redeem(await visit('deny'))) }
    const good = await visit('allow')
    const changed = (name, value) => {
      const came = new URL(good.came)
      if (value === undefined) came.searchParams.delete(name)
      else came.searchParams.set(name, value)
      return failure(() => redeem({ ...good, came }))
    }
    found.state = await changed('state', 'another')
    found.issuer = await changed('iss', 'https://another.example')
    found.no_issuer = await changed('iss')
    found.verifier = await failure(() => redeem({ ...good, verifier: oauth.generateRandomCodeVerifier() }))
    await redeem(good)
    found.spent = await failure(() => redeem(good))
    return found
  },
  async own() {
    const response = await oauth.clientCredentialsGrantRequest(
      as, client, proof, { audience: given.audience }, insecure,
    )
    const token = await oauth.processClientCredentialsResponse(as, client, response)
    return {
      token,
      claims: await verify(token.access_token, given.audience),
      refused: await failure(() => generic('client_credentials', { audience: 'https://nobody.example/' })),
    }
  },
  async exchange() {
    const parameters = {
      subject_token: given.subject_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: given.audience,
    }
    const grant_type = 'urn:ietf:params:oauth:grant-type:token-exchange'
    const token = await generic(grant_type, parameters)
    const elsewhere = { ...parameters, audience: 'https://nobody.example/' }
    return { token, refused: await failure(() => generic(grant_type, elsewhere)) }
  },
}
say({ done: await steps[given.step]() })
process.exit()
