/** Images that we pull into the engine go with everything else. Here from the registry on this machine. */
import { docker, inspect } from '#kit/docker'
import { listPulled, pullImage, removePulled } from '#kit/pulled'
import { temporaryFolder } from '#kit/temporary'
import { registryAddress } from '../../local/registry/registry.ts'
import { assert, suite } from '../suite.ts'

const test = suite('pulled')

/** The first one that the registry has and the engine has not under this name. */
async function anImage(): Promise<string> {
  const registry = await registryAddress()
  const get = async (path: string) => (await (await fetch(`http://${registry}/v2/${path}`)).json()) as Record<string, string[]>
  const [name = ''] = (await get('_catalog')).repositories ?? []
  const [tag = ''] = (await get(`${name}/tags/list`)).tags ?? []
  return `${registry}/${name}:${tag}`
}

test(
  'what was pulled is known, and removed by its name; what was there before is not ours',
  async () => {
    await using folder = await temporaryFolder('pulled')
    const ref = await anImage()
    await pullImage(ref, {}, folder.path)
    assert.equal(await listPulled(folder.path), [ref])
    assert.equal(await removePulled(folder.path), [ref])
    assert.is(await inspect('image', ref), undefined)
    assert.equal(await listPulled(folder.path), [])
    await docker(['pull', '--quiet', ref])
    try {
      await pullImage(ref, {}, folder.path)
      assert.equal(await removePulled(folder.path), [])
      assert.ok((await inspect('image', ref)) !== undefined)
    } finally {
      await docker(['rmi', ref])
    }
  },
  { timeoutMs: 120_000 },
)

test.run()
