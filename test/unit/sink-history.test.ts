/** What the sink keeps: across restarts, crashes, a full disk and compaction; and clients that wait for a message. */
import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { appendSynced, type Write } from '../../alerts/sink/files.ts'
import { assert, suite } from '../suite.ts'
import { FIELDS, openSink, STARTED_AT_MS, slackBody, type TestSink, temporaryFolder, webhookBody } from './sink-fixture.ts'

const test = suite('sink-history')

const FILE = 'messages.jsonl'

async function sendMany(sink: TestSink, count: number): Promise<void> {
  for (let i = 0; i < count; i++) assert.is((await sink.post('/slack', slackBody())).status, 200)
}

async function idsOf(sink: TestSink, query = ''): Promise<number[]> {
  return (await sink.messages(query)).messages.map(({ id }) => id)
}

async function linesOf(dir: string): Promise<number> {
  return (await readFile(join(dir, FILE), 'utf8')).split('\n').length - 1
}

test('a restart keeps messages, heartbeats and the order of ids', async () => {
  await using folder = await temporaryFolder()
  const first = await openSink({ dir: folder.path })
  await first.post('/slack', slackBody({ text: 'a line\u2028and another\nas well' }))
  await first.post('/slack', slackBody({ fields: { ...FIELDS, status: 'resolved' } }))
  await first.post('/heartbeat', webhookBody())
  const before = await first.messages()
  const second = await openSink({ dir: folder.path })
  assert.equal(await second.messages(), before)
  assert.is((await second.heartbeat()).count, 1)
  await second.post('/heartbeat', webhookBody())
  assert.equal(await second.heartbeat(), { count: 2, firstAtMs: STARTED_AT_MS, lastAtMs: STARTED_AT_MS, ageMs: 0 })
  await sendMany(second, 1)
  assert.equal(await idsOf(second), [1, 2, 3])
  assert.is(before.messages[0]?.text, 'a line\u2028and another\nas well')
  assert.equal(second.troubles, [])
})

test('deliveries at the same time get an id each, in the file’s order', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path })
  await Promise.all(Array.from({ length: 20 }, () => sendMany(sink, 1)))
  const expected = Array.from({ length: 20 }, (_, i) => i + 1)
  assert.equal(await idsOf(sink), expected)
  assert.equal(await idsOf(await openSink({ dir: folder.path })), expected)
})

test('a torn last line is dropped, whatever is in it, and the next message is whole', async () => {
  for (const rest of ['{"id":3,"receivedAtMs":17000', '{"id":3,"receivedAtMs":1}', '\0\0\0\0', '\ufeff']) {
    await using folder = await temporaryFolder()
    await sendMany(await openSink({ dir: folder.path }), 2)
    await appendFile(join(folder.path, FILE), rest)
    const sink = await openSink({ dir: folder.path })
    assert.equal(await idsOf(sink), [1, 2], rest)
    await sendMany(sink, 1)
    assert.equal(await idsOf(await openSink({ dir: folder.path })), [1, 2, 3], rest)
    assert.equal(sink.troubles, [], rest)
  }
})

test('a line in the middle that is not a message is left out, and told', async () => {
  await using folder = await temporaryFolder()
  await sendMany(await openSink({ dir: folder.path }), 1)
  await appendFile(join(folder.path, FILE), 'gibberish\n{"id":"2"}\n{"id":1,"receivedAtMs":1}\n')
  await sendMany(await openSink({ dir: folder.path }), 1)
  const sink = await openSink({ dir: folder.path })
  assert.equal(await idsOf(sink), [1, 2])
  assert.equal(
    sink.troubles,
    [2, 3, 4].map((line) => `line ${line} of the history is not a message and is left out`),
  )
})

test('a file of heartbeats that is none is told and counted anew: alerts still arrive', async () => {
  for (const content of ['', '{', '{"count":"many"}', 'null']) {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'heartbeat.json'), content)
    const sink = await openSink({ dir: folder.path })
    assert.equal(sink.troubles, ['the file of heartbeats cannot be read: they are counted anew'])
    assert.is((await sink.post('/heartbeat', webhookBody())).status, 200)
    assert.is((await sink.heartbeat()).count, 1)
  }
})

test('the newest messages are kept, and the file is compacted at twice the limit', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path, limit: 5 })
  await sendMany(sink, 9)
  assert.equal(await idsOf(sink), [5, 6, 7, 8, 9])
  assert.is(await linesOf(folder.path), 9)
  await sendMany(sink, 1)
  assert.is(await linesOf(folder.path), 5)
  await sendMany(sink, 3)
  assert.is(await linesOf(folder.path), 8)
  const restarted = await openSink({ dir: folder.path, limit: 5 })
  assert.equal(await idsOf(restarted), [9, 10, 11, 12, 13])
  assert.equal(await readdir(folder.path), [FILE])
})

test('a lower limit after a restart keeps the newest, and a compaction that a crash cut off does no harm', async () => {
  await using folder = await temporaryFolder()
  await sendMany(await openSink({ dir: folder.path }), 6)
  await writeFile(join(folder.path, `${FILE}.new`), '{"id":99,')
  const sink = await openSink({ dir: folder.path, limit: 2 })
  assert.equal(await idsOf(sink), [5, 6])
  await sendMany(sink, 1)
  assert.is(await linesOf(folder.path), 2)
  assert.equal(await idsOf(await openSink({ dir: folder.path, limit: 2 })), [6, 7])
})

test('a compaction that fails is told and tried again; its message was taken', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path, limit: 1 })
  const inTheWay = join(folder.path, `${FILE}.new`, 'x')
  await mkdir(inTheWay, { recursive: true })
  await sendMany(sink, 3)
  assert.equal(sink.troubles, ['the history could not be compacted', 'the history could not be compacted'])
  await rm(join(folder.path, `${FILE}.new`), { recursive: true })
  await sendMany(sink, 1)
  assert.is(await linesOf(folder.path), 1)
  assert.equal(await idsOf(await openSink({ dir: folder.path, limit: 1 })), [4])
})

/** A disk that takes `partBytes` more bytes and then none, while it is full. */
function fullDisk(partBytes: number): { write: Write; full: boolean } {
  const disk = {
    full: false,
    write: (async (file, bytes) => {
      if (!disk.full) return appendSynced(file, bytes)
      await file.appendFile(bytes.subarray(0, partBytes))
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }) satisfies Write,
  }
  return disk
}

test('a full disk answers 503, keeps and counts nothing, and takes messages again when there is room', async () => {
  for (const partBytes of [0, 40, 10_000]) {
    await using folder = await temporaryFolder()
    const disk = fullDisk(partBytes)
    const sink = await openSink({ dir: folder.path, write: disk.write })
    await sendMany(sink, 1)
    const { size } = await stat(join(folder.path, FILE))
    disk.full = true
    for (const _ of [1, 2]) {
      const response = await sink.post('/slack', slackBody())
      assert.equal([response.status, await response.text()], [503, 'not_stored'])
      assert.is((await stat(join(folder.path, FILE))).size, size)
    }
    assert.equal(await idsOf(sink), [1])
    assert.match(await sink.metrics(), 'sink_messages_total{alert="HighErrorRate",state="firing"} 1\n')
    assert.is((await sink.get('/health')).status, 200)
    disk.full = false
    await sendMany(sink, 1)
    assert.equal(await idsOf(sink), [1, 2])
    assert.equal(await idsOf(await openSink({ dir: folder.path })), [1, 2])
  }
})

test('a heartbeat that cannot be stored is answered 503 and not counted', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path })
  await mkdir(join(folder.path, 'heartbeat.json.new', 'x'), { recursive: true })
  assert.is((await sink.post('/heartbeat', webhookBody())).status, 503)
  assert.is((await sink.heartbeat()).count, 0)
})

test('a wait ends as soon as a message arrives that matches, and with no other', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path })
  await sendMany(sink, 1)
  const startedAt = performance.now()
  let answeredAfterMs = 0
  const waiting = sink.messages('?afterId=1&state=resolved&waitMs=20000').finally(() => (answeredAfterMs = performance.now() - startedAt))
  await sendMany(sink, 1)
  await sleep(150)
  assert.is(answeredAfterMs, 0)
  await sink.post('/slack', slackBody({ fields: { ...FIELDS, status: 'resolved' } }))
  assert.equal(
    (await waiting).messages.map(({ id }) => id),
    [3],
  )
  assert.ok(answeredAfterMs < 2_000, `answered after ${answeredAfterMs} ms`)
})

test('a wait is answered at once where there is a message already, and at its end where none came', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path })
  await sendMany(sink, 2)
  const startedAt = performance.now()
  assert.equal(await idsOf(sink, '?afterId=1&waitMs=20000'), [2])
  assert.ok(performance.now() - startedAt < 2_000)
  const waitedFrom = performance.now()
  assert.equal(await sink.messages('?afterId=2&waitMs=200'), { total: 2, messages: [] })
  const waitedMs = performance.now() - waitedFrom
  assert.ok(waitedMs >= 199 && waitedMs < 2_000, `waited ${waitedMs} ms`)
})

test('all who wait are told of one message; a client that goes and a sink that stops end their waits', async () => {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path })
  const all = Array.from({ length: 20 }, () => idsOf(sink, '?afterId=0&waitMs=20000'))
  const gone = new AbortController()
  const left = sink.app.fetch(new Request('http://sink.test/messages?afterId=7&waitMs=20000', { signal: gone.signal }))
  const stopped = idsOf(sink, '?afterId=8&waitMs=20000')
  await sendMany(sink, 1)
  for (const ids of await Promise.all(all)) assert.equal(ids, [1])
  gone.abort()
  await left
  sink.app.close()
  assert.equal(await stopped, [])
})

test.run()
