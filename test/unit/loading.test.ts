/** What a command loads before it does anything: every one of them waits for that. */
import { join } from 'node:path'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'

const test = suite('loading')

/** Says at the end which packages were loaded. */
const HOOK = `
import { registerHooks } from 'node:module'
const packages = new Set()
registerHooks({
  load(url, context, next) {
    const [, name] = /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url) ?? []
    if (name !== undefined) packages.add(name)
    return next(url, context)
  },
})
process.on('exit', () => console.error('loaded ' + [...packages].join(' ')))`

/** Each a third of a second or more. */
const HEAVY = /^(@aws-sdk\/.*|testcontainers|@testcontainers\/.*|@kubernetes\/client-node|@sigstore\/sign)$/

async function loadedBy(command: string): Promise<string[]> {
  const hook = `data:text/javascript,${encodeURIComponent(HOOK)}`
  const { stderr } = await exec(process.execPath, ['--import', hook, join('scripts', command), '--help'], { cwd: root })
  return /^loaded (.*)$/m.exec(stderr)?.[1]?.split(' ') ?? []
}

test(
  'no command loads a client of AWS or of Kubernetes, or testcontainers, before it has something to ask',
  async () => {
    // Each has the whole composition, and one of them asks AWS later on.
    for (const command of ['local-deploy.ts', 'cloud-status.ts']) {
      const loaded = await loadedBy(command)
      assert.ok(loaded.includes('commander'), `${command} loaded ${loaded.join(' ')}`)
      assert.equal([command, ...loaded.filter((name) => HEAVY.test(name))], [command])
    }
  },
  { timeoutMs: 60_000 },
)

test.run()
