/** The sink's answers: which bodies are taken and what is read out of them, queries, heartbeats, metrics. */
import { BODY_LIMIT_BYTES } from '../../alerts/sink/app.ts'
import type { Notification } from '../../alerts/sink/message.ts'
import { readNotification } from '../../alerts/sink/slack.ts'
import { assert, suite } from '../suite.ts'
import { FIELDS, openSink, STARTED_AT_MS, slackBody, type TestSink, temporaryFolder, webhookBody } from './sink-fixture.ts'

const test = suite('sink')

/** Runs on a fresh sink, and removes its folder. */
async function withSink(use: (sink: TestSink) => Promise<void>): Promise<void> {
  await using folder = await temporaryFolder()
  await use(await openSink({ dir: folder.path }))
}

function read(body: unknown): Notification {
  const notification = readNotification(body)
  if (typeof notification === 'string') throw new Error(`refused: ${notification}`)
  return notification
}

test('a notification of Alertmanager is answered as Slack does, and read field by field', () =>
  withSink(async (sink) => {
    const response = await sink.post('/slack', slackBody())
    assert.is(response.status, 200)
    assert.is(response.headers.get('content-type'), 'text/plain; charset=utf-8')
    assert.is(await response.text(), 'ok')
    assert.equal(await sink.messages(), {
      total: 1,
      messages: [
        {
          id: 1,
          receivedAtMs: STARTED_AT_MS,
          channel: '#devops-alerts',
          title: '[FIRING:1] HighErrorRate',
          text: '*Share* of errors is 12 %',
          alert: 'HighErrorRate',
          state: 'firing',
          severity: 'critical',
          fingerprints: ['0123456789abcdef', 'fedcba9876543210'],
        },
      ],
    })
  }))

test('what is delivered twice is kept twice', () =>
  withSink(async (sink) => {
    for (const _ of [1, 2]) assert.is((await sink.post('/slack', slackBody())).status, 200)
    assert.equal((await sink.messages('?alert=HighErrorRate&state=firing')).total, 2)
  }))

test('the fields win over the title, and the title stands in for missing or empty ones', () => {
  const cases: [string, Record<string, string>, (string | null)[]][] = [
    ['[FIRING:1] TargetDown', FIELDS, ['HighErrorRate', 'firing']],
    ['[FIRING:1] TargetDown', { ...FIELDS, status: 'resolved' }, ['HighErrorRate', 'resolved']],
    ['[FIRING:1] HighErrorRate', { Alert: 'TargetDown', STATUS: 'RESOLVED' }, ['TargetDown', 'resolved']],
    ['[FIRING:1] HighErrorRate', { alert: '', status: 'unheard-of' }, ['HighErrorRate', 'firing']],
    ['[FIRING:12] HighErrorRate (dev service critical)', {}, ['HighErrorRate', 'firing']],
    ['[RESOLVED] HighErrorRate', {}, ['HighErrorRate', 'resolved']],
    ['[RESOLVED]', {}, [null, 'resolved']],
    ['HighErrorRate is [FIRING:1]', {}, [null, null]],
    ['[FIRING:x] HighErrorRate', {}, [null, null]],
    ['Deployed', {}, [null, null]],
  ]
  for (const [title, fields, expected] of cases) {
    const { alert, state } = read(slackBody({ title, fields }))
    assert.equal([alert, state], expected, `${title} with ${JSON.stringify(fields)}`)
  }
})

test('what is not said is null, and an empty field is not said', () => {
  const { channel, severity, fingerprints } = read({ attachments: [{ text: 'x', fields: [{ title: 'severity', short: true }] }] })
  assert.equal({ channel, severity, fingerprints }, { channel: null, severity: null, fingerprints: [] })
})

test('of two fields or attachments that say the same, the first counts', () => {
  const [first, second] = ['A', 'B'].map((value) => ({
    title: `[RESOLVED] ${value}`,
    fields: [
      { title: 'alert', value },
      { title: 'alert', value: 'C' },
    ],
  }))
  const { title, alert } = read({ attachments: [first, second] })
  assert.equal([title, alert], ['[RESOLVED] A', 'A'])
})

test('plain text is a message, and a fallback stands in for a missing text', () => {
  assert.equal(read({ text: ' hello ' }), {
    channel: null,
    title: '',
    text: 'hello',
    alert: null,
    state: null,
    severity: null,
    fingerprints: [],
  })
  assert.is(read({ attachments: [{ title: 't', fallback: 'f' }] }).text, 'f')
  assert.is(read({ text: 'a', attachments: [{ pretext: 'b', text: 'c' }, { text: 'd' }] }).text, 'a\nb\nc\nd')
})

test('a message is bounded whatever is sent, and holds no half of a character', () => {
  const long = 'x'.repeat(9_000)
  const fields = { ...FIELDS, alert: long, fingerprints: Array.from({ length: 300 }, (_, i) => `f${i}`).join(',') }
  const { title, text, alert, fingerprints } = read(slackBody({ title: long, text: `${'x'.repeat(2_998)}😀x`, fields }))
  assert.equal([title.length, text.length, alert?.length, fingerprints.length], [1_024, 3_000, 200, 64])
  assert.ok(title.endsWith('…'))
  assert.ok(text.isWellFormed())
})

test('each malformed body is refused with Slack’s short text, counted, and not kept', () =>
  withSink(async (sink) => {
    const cases: [unknown, string][] = [
      ['', 'invalid_payload'],
      ['payload=%7B%7D', 'invalid_payload'],
      ['{"text":"x"', 'invalid_payload'],
      ['['.repeat(100_000), 'invalid_payload'],
      [Uint8Array.from(Buffer.from('{"text":"\xff"}', 'latin1')), 'invalid_payload'],
      ['"text"', 'invalid_payload'],
      ['null', 'invalid_payload'],
      ['[{"text":"x"}]', 'invalid_payload'],
      [{ text: 5 }, 'invalid_payload'],
      [{ channel: {}, text: 'x' }, 'invalid_payload'],
      [{ attachments: {} }, 'invalid_payload'],
      [{ attachments: ['x'] }, 'invalid_payload'],
      [{ attachments: [{ text: ['x'] }] }, 'invalid_payload'],
      [{ attachments: [{ text: 'x', fields: 'alert' }] }, 'invalid_payload'],
      [{ attachments: [{ text: 'x', fields: [{ title: 'alert', value: 1 }] }] }, 'invalid_payload'],
      [{}, 'no_text'],
      [{ text: ' \n', channel: '#x' }, 'no_text'],
      [{ text: null, attachments: null }, 'no_text'],
      [{ attachments: [{ title: '', text: '', fallback: '', fields: [] }] }, 'no_text'],
    ]
    for (const [body, expected] of cases) {
      const response = await sink.post('/slack', body)
      const name = JSON.stringify(body).slice(0, 60)
      assert.is(response.status, 400, name)
      assert.is(response.headers.get('content-type'), 'text/plain; charset=utf-8', name)
      assert.is(await response.text(), expected, name)
    }
    assert.is((await sink.messages()).total, 0)
    assert.match(await sink.metrics(), `sink_malformed_total ${cases.length}\n`)
  }))

test('a body may have 256 KiB and no byte more', () =>
  withSink(async (sink) => {
    const around = JSON.stringify({ text: '' }).length
    const bodyOf = (bytes: number) => JSON.stringify({ text: 'x'.repeat(bytes - around) })
    assert.is((await sink.post('/slack', bodyOf(BODY_LIMIT_BYTES))).status, 200)
    for (const path of ['/slack', '/heartbeat']) {
      const response = await sink.post(path, bodyOf(BODY_LIMIT_BYTES + 1))
      assert.is(response.status, 413)
      assert.equal(await response.json(), { error: 'The body is larger than 262144 bytes' })
    }
    assert.match(await sink.metrics(), 'sink_malformed_total 2\n')
  }))

test('another path is 404 and another method 405, both as JSON; the history cannot be deleted', () =>
  withSink(async (sink) => {
    await sink.post('/slack', slackBody())
    const cases: [string, string, number, string, string | null][] = [
      ['GET', '/', 404, 'Not found', null],
      ['POST', '/slack/', 404, 'Not found', null],
      ['GET', '/slack', 405, 'Method GET is not allowed: use POST', 'POST'],
      ['DELETE', '/messages', 405, 'Method DELETE is not allowed: use GET, HEAD', 'GET, HEAD'],
      ['POST', '/messages', 405, 'Method POST is not allowed: use GET, HEAD', 'GET, HEAD'],
      ['PUT', '/heartbeat', 405, 'Method PUT is not allowed: use POST, GET, HEAD', 'POST, GET, HEAD'],
    ]
    for (const [method, path, status, error, allow] of cases) {
      const response = await sink.app.fetch(new Request(`http://sink.test${path}`, { method }))
      assert.is(response.status, status, `${method} ${path}`)
      assert.equal(await response.json(), { error }, `${method} ${path}`)
      assert.is(response.headers.get('allow'), allow, `${method} ${path}`)
    }
    assert.is((await sink.messages()).total, 1)
    const head = await sink.app.fetch(new Request('http://sink.test/messages', { method: 'HEAD' }))
    assert.equal([head.status, await head.text()], [200, ''])
    assert.equal(await (await sink.get('/health')).json(), { status: 'healthy' })
  }))

test('messages are filtered by time, alert and state; total counts all that match', () =>
  withSink(async (sink) => {
    for (const [i, status] of ['firing', 'resolved', 'firing', 'resolved'].entries()) {
      sink.clock.nowMs = STARTED_AT_MS + i
      await sink.post('/slack', slackBody({ fields: { alert: i < 2 ? 'A' : 'B', status } }))
    }
    const cases: [string, number, number[]][] = [
      ['', 4, [1, 2, 3, 4]],
      [`?since=${STARTED_AT_MS + 1}`, 3, [2, 3, 4]],
      ['?alert=B', 2, [3, 4]],
      ['?alert=b', 0, []],
      ['?state=resolved', 2, [2, 4]],
      [`?alert=B&state=resolved&since=${STARTED_AT_MS}`, 1, [4]],
      ['?limit=2', 4, [3, 4]],
      ['?afterId=1', 4, [2, 3, 4]],
      ['?afterId=0&limit=2', 4, [1, 2]],
      ['?afterId=2&limit=1&state=resolved', 2, [4]],
      ['?afterId=4', 4, []],
      ['?afterId=4&waitMs=0', 4, []],
    ]
    for (const [query, total, ids] of cases) {
      const page = await sink.messages(query)
      assert.equal([page.total, page.messages.map(({ id }) => id)], [total, ids], query)
    }
  }))

test('a parameter that is wrong or unknown is refused in one sentence', () =>
  withSink(async (sink) => {
    const whole = (from: number, to: number) => `expected a whole number from ${from} to ${to}`
    const cases: [string, string][] = [
      ['since=yesterday', `Parameter 'since' is 'yesterday', ${whole(0, Number.MAX_SAFE_INTEGER)}`],
      ['since=-1', `Parameter 'since' is '-1', ${whole(0, Number.MAX_SAFE_INTEGER)}`],
      ['since=', `Parameter 'since' is '', ${whole(0, Number.MAX_SAFE_INTEGER)}`],
      ['afterId=1.5', `Parameter 'afterId' is '1.5', ${whole(0, Number.MAX_SAFE_INTEGER)}`],
      ['afterId=9999999999999999', `Parameter 'afterId' is '9999999999999999', ${whole(0, Number.MAX_SAFE_INTEGER)}`],
      ['limit=0', `Parameter 'limit' is '0', ${whole(1, 1_000)}`],
      ['limit=1001', `Parameter 'limit' is '1001', ${whole(1, 1_000)}`],
      ['afterId=0&waitMs=20001', `Parameter 'waitMs' is '20001', ${whole(0, 20_000)}`],
      ['waitMs=10', "Parameter 'waitMs' needs 'afterId': the last id that you know, or 0"],
      ['state=pending', "Parameter 'state' is 'pending', expected firing or resolved"],
      ['alert=', "Parameter 'alert' must be a name of 1 to 200 characters"],
      ['alert=A&alert=B', "Parameter 'alert' is given more than once"],
      ['alertname=A', "Parameter 'alertname' is not one of since, alert, state, afterId, waitMs, limit"],
      [`${'x'.repeat(99)}=1`, `Parameter '${'x'.repeat(39)}…' is not one of since, alert, state, afterId, waitMs, limit`],
    ]
    for (const [query, error] of cases) {
      const response = await sink.get(`/messages?${query}`)
      assert.equal([response.status, await response.json()], [400, { error }], query)
    }
    assert.match(await sink.metrics(), 'sink_malformed_total 0\n')
  }))

test('a firing Watchdog is a heartbeat: counted, with its first and last time and its age', () =>
  withSink(async (sink) => {
    assert.equal(await sink.heartbeat(), { count: 0, firstAtMs: null, lastAtMs: null, ageMs: null })
    for (const afterMs of [1_000, 31_000]) {
      sink.clock.nowMs = STARTED_AT_MS + afterMs
      const response = await sink.post('/heartbeat', webhookBody())
      assert.equal([response.status, await response.json()], [200, { counted: true }])
    }
    sink.clock.nowMs = STARTED_AT_MS + 36_000
    const expected = { count: 2, firstAtMs: STARTED_AT_MS + 1_000, lastAtMs: STARTED_AT_MS + 31_000, ageMs: 5_000 }
    assert.equal(await sink.heartbeat(), expected)
    assert.is((await sink.messages()).total, 0)
  }))

test('a Watchdog that Alertmanager calls resolved is no sign of life', () =>
  withSink(async (sink) => {
    const response = await sink.post('/heartbeat', webhookBody({ status: 'resolved' }))
    assert.equal([response.status, await response.json()], [200, { counted: false }])
    assert.is((await sink.heartbeat()).count, 0)
  }))

test('no other body is a heartbeat: the alert in it would be lost', () =>
  withSink(async (sink) => {
    const error = "Expected version 4 of Alertmanager's webhook with the Watchdog: no other alert is kept here"
    const bodies = [
      '{',
      'null',
      {},
      webhookBody({ version: '3' }),
      webhookBody({ alertname: 'TargetDown' }),
      { version: '4', alerts: [] },
      { version: '4', alerts: 'Watchdog' },
      { version: '4', alerts: [null, { labels: null }] },
      slackBody(),
    ]
    for (const body of bodies) {
      const response = await sink.post('/heartbeat', body)
      assert.equal([response.status, await response.json()], [400, { error }], JSON.stringify(body).slice(0, 60))
    }
    assert.is((await sink.heartbeat()).count, 0)
    assert.match(await sink.metrics(), `sink_malformed_total ${bodies.length}\n`)
  }))

test('metrics count messages by alert and state, and give the age of the heartbeat', () =>
  withSink(async (sink) => {
    await sink.post('/slack', slackBody())
    await sink.post('/slack', slackBody({ fields: { ...FIELDS, status: 'resolved' } }))
    await sink.post('/slack', { text: 'hello' })
    sink.clock.nowMs += 4_000
    const before = await sink.metrics()
    assert.match(before, 'sink_messages_total{alert="HighErrorRate",state="firing"} 1\n')
    assert.match(before, 'sink_messages_total{alert="HighErrorRate",state="resolved"} 1\n')
    assert.match(before, 'sink_messages_total{alert="unknown",state="unknown"} 1\n')
    assert.match(before, 'sink_heartbeat_age_seconds 4\n')
    await sink.post('/heartbeat', webhookBody())
    sink.clock.nowMs += 1_500
    const response = await sink.get('/metrics')
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    assert.match(await response.text(), 'sink_heartbeat_age_seconds 1.5\n')
  }))

test('made-up alert names make no more than 51 series', () =>
  withSink(async (sink) => {
    for (let i = 0; i < 60; i++) await sink.post('/slack', slackBody({ fields: { alert: `Made"Up\n${i}`, status: 'firing' } }))
    const series = (await sink.metrics()).split('\n').filter((line) => line.startsWith('sink_messages_total{'))
    assert.is(series.length, 51)
    assert.ok(series.includes('sink_messages_total{alert="other",state="firing"} 10'))
  }))

test.run()
