/** What is asked over HTTP, and what becomes of it where nobody answers, or not as it should. */
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { passageTo } from '#kit/docker-login'
import { isBug } from '#kit/errors'
import { ask, NoAnswer } from '#kit/http'
import { whyNoRegistry } from '#kit/hub'
import { ensurePullRequest } from '#kit/pull-request'
import { openRegistryRelay } from '#kit/registry-relay'
import { bucketExists } from '../../cloud/place.ts'
import { assert, suite } from '../suite.ts'
import { askedOfProxy } from './proxy-fixture.ts'

const test = suite('kit/http')

interface Served extends AsyncDisposable {
  readonly host: string
  readonly url: string
}

async function serve(answer: RequestListener): Promise<Served> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    url: `http://${host}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const answering = (status: number) => serve((_, response) => void response.writeHead(status).end('it'))

/** An address where nobody listens any more. */
async function nobody(): Promise<{ readonly host: string; readonly url: string }> {
  await using gone = await answering(200)
  return { host: gone.host, url: gone.url }
}

test('an answer is given as it is; who does not answer is named, with the cause, and is no bug', async () => {
  await using good = await answering(200)
  assert.is(await (await ask('Cannot do it', good.url)).text(), 'it')
  const thrown = await assert.rejects(
    ask('Cannot do it', `${(await nobody()).url}/x`),
    /^Cannot do it: 127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/,
  )
  assert.instance(thrown, NoAnswer)
  assert.not.ok(isBug(thrown))
})

test('an answer that is no success is an error, unless it is accepted', async () => {
  await using bad = await answering(503)
  await assert.rejects(ask('Cannot do it', bad.url), `Cannot do it: ${bad.host} answered 503`)
  assert.is((await ask('Cannot do it', bad.url, { accept: [503] })).status, 503)
  assert.is((await ask('Cannot do it', bad.url, { accept: 'any' })).status, 503)
})

test('who takes too long is named, and an interrupt stays an interrupt', async () => {
  await using silent = await serve(() => {})
  await assert.rejects(ask('Cannot do it', silent.url, { timeoutMs: 100 }), `Cannot do it: ${silent.host} does not answer within 0.1 s`)
  const abort = new AbortController()
  const asked = ask('Cannot do it', silent.url, { signal: abort.signal })
  abort.abort(new Error('Interrupted by SIGINT'))
  await assert.rejects(asked, 'Interrupted by SIGINT')
})

test('whoever asks GitHub, a registry or S3 is told who did not answer', async () => {
  const pullRequest = { branch: 'b', base: 'main', title: 't', body: '' }
  const { host, url } = await nobody()
  const asked = [
    () => ensurePullRequest({ api: url, repository: 'you/platform', token: 'x' }, pullRequest),
    async () => (await passageTo(host, { auths: { [host]: { auth: 'eDp5' } } }))('/v2/a/manifests/b'),
    () => withS3(url, () => bucketExists('bucket', 'us-east-2')),
  ]
  for (const each of asked) await assert.rejects(each(), /^Cannot .*: 127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/)
})

async function withS3<T>(url: string, work: () => Promise<T>): Promise<T> {
  const before = process.env.AWS_ENDPOINT_URL_S3
  process.env.AWS_ENDPOINT_URL_S3 = url
  const asked = work()
  if (before === undefined) delete process.env.AWS_ENDPOINT_URL_S3
  else process.env.AWS_ENDPOINT_URL_S3 = before
  return asked
}

test('a bucket is there, or is not, or cannot be seen', async () => {
  const seen = async (status: number) => {
    await using s3 = await answering(status)
    return await withS3(s3.url, () => bucketExists('bucket', 'us-east-2'))
  }
  assert.equal(await Promise.all([200, 301, 403, 404].map(seen)), [true, true, true, false])
  await assert.rejects(seen(503), /^Cannot see whether there is a bucket 'bucket': .* answered 503$/)
})

test('a token of a registry is asked for anew when its time is over, and once for all who ask meanwhile', async () => {
  let tokens = 0
  await using registry = await serve(({ url = '', headers }, response) => {
    if (url === '/v2/')
      return void response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${headers.host}/token",service="x"` }).end()
    tokens += 1
    response.end(JSON.stringify({ token: `token-${tokens}`, expires_in: 0.5 }))
  })
  const find = await passageTo(registry.host, { auths: { [registry.host]: { auth: 'eDp5' } } })
  const authorization = async () => (await find('/v2/a/manifests/b')).authorization
  assert.equal(await Promise.all([authorization(), authorization()]), ['Bearer token-1', 'Bearer token-1'])
  await sleep(600)
  assert.equal([await authorization(), tokens], ['Bearer token-2', 2])
})

test('the relay does not pass half an answer off as a whole one', async () => {
  await using registry = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream' }).write('half')
    setTimeout(() => response.destroy(), 100)
  })
  const relay = await openRegistryRelay(async (path) => ({ endpoint: registry.url, path }))
  await assert.rejects(
    fetch(`http://${relay}/v2/`).then((answer) => answer.text()),
    'terminated',
  )
})

test('the relay asks no further for one who has left', async () => {
  let asked: ServerResponse | undefined
  await using registry = await serve((_, response) => {
    asked = response
  })
  const relay = await openRegistryRelay(async (path) => ({ endpoint: registry.url, path }))
  const client = new AbortController()
  const answer = fetch(`http://${relay}/v2/`, { signal: client.signal }).catch(() => {})
  while (asked === undefined) await sleep(10)
  client.abort()
  await answer
  await sleep(500)
  assert.ok(asked.destroyed, 'the registry is still asked')
})

test('whyNoRegistry() asks through the proxy that the environment names', async () => {
  const asked = await askedOfProxy(async () => assert.match((await whyNoRegistry()) ?? 'it answers', /403/))
  assert.equal(asked, ['registry-1.docker.io:443'])
})

test.run()
