/** The node image's own Go tests: flags, command lines, certificates, the order of starting and stopping. */
import { exec } from '#kit/exec'
import { COMPILE_ENV } from '#kit/go'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'

const test = suite('node image')
/** Cold, the supervisor's tests compile a part of Kubernetes. */
const TIMEOUT_MS = 540_000

const hasGo = (await exec('sh', ['-c', 'command -v go'], { accept: [0, 1, 127] })).exitCode === 0

if (hasGo) {
  test(
    'its Go tests pass',
    async ({ signal }) => {
      // With the flags of the image's build: without them all of Kubernetes is compiled a second time.
      const { stdout } = await exec('go', ['test', '-C', 'local/node', '-trimpath', './plan', './pki', './supervise'], {
        cwd: root,
        env: { ...COMPILE_ENV, CGO_ENABLED: '0' },
        signal,
      })
      assert.is(stdout.match(/^ok\s/gm)?.length, 3, stdout)
    },
    { timeoutMs: TIMEOUT_MS },
  )
} else {
  test.skip('its Go tests pass', 'go is not on the PATH')
}

test.run()
