/** The image store out of its volume, by an engine that only says what it is told to. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { assert, suite } from '../suite.ts'
import { createTree, runSource, urlOf } from './tree-fixture.ts'

const test = suite('image store')

/** Has every image, and the registry once it was run; what is copied out of it is one file. */
const engine = (port: number) => `#!/bin/sh
here=$(dirname "$0")
case "$*" in
  "inspect --type container holdfast-registry")
    [ -e "$here/runs" ] || { echo "Error: No such container" >&2; exit 1; }
    echo '[{"State":{"Running":true},"HostConfig":{"PortBindings":{"5000/tcp":[{"HostPort":"${port}"}]}}}]' ;;
  inspect*) echo '[{}]' ;;
  run*) touch "$here/runs" ;;
  "cp holdfast-registry:/var/lib/registry "*) mkdir -p "$3" && echo blob > "$3/blob" ;;
  version*) echo linux/amd64 ;;
esac
`

const SAVE = `
import { saveStore } from '${urlOf('local/registry/store.ts')}'
import { Images } from '${urlOf('scripts/kit/images.ts')}'
import { createProgress } from '${urlOf('scripts/kit/progress.ts')}'
using progress = createProgress()
const { signal } = new AbortController()
await saveStore(new Images({ progress, signal }), signal)
`

/** Starts a dozen processes. */
const SLOW = { timeoutMs: 60_000 }

test(
  'the store is saved also where its registry went with the last cluster',
  async () => {
    const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    using tree = createTree()
    try {
      tree.write('docker', engine((server.address() as AddressInfo).port), 0o755)
      const env = { PATH: `${tree.path}${delimiter}${process.env.PATH}`, XDG_CACHE_HOME: tree.path, XDG_STATE_HOME: tree.path }
      const { exitCode, output } = await runSource(SAVE, { env })
      assert.is(exitCode, 0, output)
      assert.ok(existsSync(join(tree.path, 'holdfast/store/blob')))
    } finally {
      server.close()
    }
  },
  SLOW,
)

test.run()
