/** The image store's address, as the engine knows it. */
import { registryAddress } from '../../local/registry/registry.ts'
import { assert, suite } from '../suite.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('local/registry')

/** What is said with an engine that answers so. */
async function withDocker<T>(script: string, work: () => Promise<T>): Promise<T> {
  using tree = createTree()
  tree.write('docker', `#!/bin/sh\n${script}\n`, 0o755)
  const { PATH } = process.env
  process.env.PATH = `${tree.path}:${PATH}`
  try {
    return await work()
  } finally {
    process.env.PATH = PATH
  }
}

test('where the registry is gone, that is said, and no address is made up', async () => {
  const gone = withDocker("echo 'Error: No such container: holdfast-registry' >&2; exit 1", registryAddress)
  await assert.rejects(
    gone,
    'Cannot reach the image store: there is no container holdfast-registry that publishes a port. Run npm run local:up',
  )
  const closed = withDocker(`echo '[{"State":{"Running":true},"HostConfig":{"PortBindings":{}}}]'`, registryAddress)
  await assert.rejects(closed, 'there is no container holdfast-registry that publishes a port')
})

test('its address is the port that it publishes', async () => {
  const open = `echo '[{"State":{"Running":true},"HostConfig":{"PortBindings":{"5000/tcp":[{"HostIp":"127.0.0.1","HostPort":"16430"}]}}}]'`
  assert.is(await withDocker(open, registryAddress), '127.0.0.1:16430')
})

test.run()
