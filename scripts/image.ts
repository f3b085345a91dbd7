/** `npm run image`: the service's image of this tree, built once, with what is to be said of it; and its way to registries elsewhere. */

import { attachSbom, findDestination, openDestination, publish, publishedDigest, releasePart, storeImages } from '#core'
import { type ImagesFlags, withImages } from '#kit/flags'
import { Images } from '#kit/images'
import { type Invocation, main } from '#kit/main'
import { imageStore, stack } from '../holdfast.config.ts'

interface Flags extends ImagesFlags {
  readonly to: readonly string[]
}

await main<Flags>({
  name: 'image',
  summary: 'Builds the image of the service once, signs where it comes from and what is in it, and copies it to registries with all that.',
  example: 'npm run image -- --to ghcr',
  declare: (command) =>
    withImages(command).option(
      '--to <repository>',
      'ghcr or ecr on GitHub, else registry.example.com/team/service; repeatable',
      (value: string, all: readonly string[]) => [...all, value],
      [],
    ),
  run,
})

async function run({ flags: { to, images: way }, progress, signal }: Invocation<Flags>): Promise<number> {
  const { release } = releasePart(stack)
  const head = await stack.source.head()
  const places = await Promise.all(to.map((each) => findDestination(each, release.name, head)))
  const due = []
  for (const place of places) {
    const repository = await openDestination(place)
    const digest = await publishedDigest(stack, repository, place.tags[0] ?? '')
    if (digest === undefined) due.push({ place, to: repository })
    else progress.say(`${place.host}/${place.name}@${digest} is there already: nothing is changed`)
  }
  if (to.length > 0 && due.length === 0) return 0
  const images = new Images({ progress, signal, ...(way === undefined ? {} : { way }) })
  const registry = await imageStore({ images, progress, signal })
  const stored = await storeImages({ ...stack, parts: [{ ...releasePart(stack), images: [] }] }, { images, registry })
  const digest = stored.get(release.name)?.digest
  if (digest === undefined) throw new TypeError('The image of the service was not stored')
  const image = { registry, name: release.name, digest }
  await attachSbom(stack, image, { progress, signal })
  for (const { place, to: repository } of due) await publish(stack, image, { place, to: repository, progress, signal })
  process.stdout.write(`${digest}\n`)
  return 0
}
