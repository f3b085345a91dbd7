/** `npm run store`: the image store out of its volume and into it again, so that a cache can keep it between machines. */

import { UserError } from '#kit/errors'
import { Images } from '#kit/images'
import { main } from '#kit/main'
import { imageStore, loadStore, saveStore } from '../holdfast.config.ts'

await main({
  name: 'store',
  summary: 'Saves the image store to a folder in the cache, or loads it from there into the registry, which it starts.',
  example: 'npm run store -- save',
  declare: (command) => command.argument('<what>', 'save or load'),
  async run({ args: [what], progress, signal }) {
    const images = new Images({ progress, signal })
    if (what === 'save') {
      await progress.step('Save the image store', () => saveStore(images, signal))
      return 0
    }
    if (what !== 'load')
      throw new UserError({ what: `Cannot '${what}' the store`, why: 'it is saved or loaded', next: 'Write save or load' })
    await imageStore({ images, progress, signal })
    const loaded = await progress.step('Load the image store', () => loadStore(signal))
    progress.say(loaded ? 'The registry has what was saved' : 'Nothing was saved: the registry begins as it is')
    return 0
  },
})
