import { createServer } from 'node:net'
import { checkPortsFree, firstFreePort, nodePortOf, portBlock } from '../../local/ports.ts'
import { assert, suite } from '../suite.ts'

const test = suite('ports')

/** Holds a port of this machine for the time of `work`. */
async function holding(work: (port: number) => Promise<void>): Promise<void> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  try {
    await work(typeof address === 'object' ? (address?.port ?? 0) : 0)
  } finally {
    await new Promise((done) => server.close(done))
  }
}

test('a block begins with the API server and gives each service its node port', () => {
  const block = portBlock(20_000)
  assert.equal(block[0], { host: 20_000, container: 6443 })
  assert.equal(block[1], { host: 20_001, container: nodePortOf('git') })
  assert.is(new Set(block.map(({ host }) => host)).size, block.length)
})

test('checkPortsFree() names the port, its holder and the way out', async () => {
  await holding(async (port) => {
    const refused = checkPortsFree([{ host: port, container: 1 }])
    await assert.rejects(
      refused,
      new RegExp(
        `^Cannot use port ${port}: process '.+' \\(pid ${process.pid}\\) holds it\\. Stop it, or choose another block with --ports-from \\d+$`,
      ),
    )
  })
})

test('checkPortsFree() accepts free ports', async () => {
  let freed = 0
  await holding(async (port) => {
    freed = port
  })
  await checkPortsFree([{ host: freed, container: 1 }])
})

test('firstFreePort() steps over a taken port', async () => {
  await holding(async (port) => {
    assert.ok((await firstFreePort(port)) > port)
  })
})

test.run()
