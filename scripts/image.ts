/** `npm run image`: the service's image of this tree, built once, with what is to be said of it; and its way to registries elsewhere. */

import {
  attachSbom,
  type Destination,
  type Digest,
  findDestination,
  openDestination,
  publish,
  publishedDigest,
  releasePart,
  type SourceHead,
  storeImages,
} from '#core'
import { UserError } from '#kit/errors'
import { type ImagesFlags, withImages } from '#kit/flags'
import { Images } from '#kit/images'
import { type Invocation, main } from '#kit/main'
import type { ImageRef } from '#kit/registry'
import { imageStore, stack } from '../holdfast.config.ts'

interface Flags extends ImagesFlags {
  readonly from?: string
  readonly to: readonly string[]
}

type Image = ImageRef & { readonly digest: Digest }
const { release } = releasePart(stack)

await main<Flags>({
  name: 'image',
  summary: 'Builds the image of the service once, signs where it comes from and what is in it, and copies it to registries with all that.',
  example: 'npm run image -- --to ghcr',
  declare: (command) =>
    withImages(command)
      .option('--from <repository>', 'build nothing: take what was published there of this commit')
      .option(
        '--to <repository>',
        'ghcr or ecr on GitHub, else registry.example.com/team/service; repeatable',
        (value: string, all: readonly string[]) => [...all, value],
        [],
      ),
  run,
})

async function run(x: Invocation<Flags>): Promise<number> {
  const { to, from } = x.flags
  const head = await stack.source.head()
  const places = await Promise.all(to.map((each) => findDestination(each, release.name, head)))
  const opened = await Promise.all(places.map(async (place) => ({ place, to: await openDestination(place) })))
  const known = await Promise.all(opened.map(({ place, to: repository }) => publishedDigest(stack, repository, place.tags[0] ?? '')))
  const due = opened.filter((_, i) => known[i] === undefined)
  places.forEach(({ host, name }, i) => {
    if (known[i] !== undefined) x.progress.say(`${host}/${name}@${known[i]} is there already: nothing is changed`)
  })
  if (to.length > 0 && due.length === 0) return 0
  const image = from === undefined ? await build(x) : await publishedImage(await findDestination(from, release.name, head), head)
  for (const each of due) await publish(stack, image, { ...each, progress: x.progress, signal: x.signal })
  process.stdout.write(`${image.digest}\n`)
  return 0
}

async function build({ flags: { images: way }, progress, signal }: Invocation<Flags>): Promise<Image> {
  const images = new Images({ progress, signal, ...(way === undefined ? {} : { way }) })
  const registry = await imageStore({ images, progress, signal })
  const stored = await storeImages({ ...stack, parts: [{ ...releasePart(stack), images: [] }] }, { images, registry })
  const digest = stored.get(release.name)?.digest
  if (digest === undefined) throw new TypeError('The image of the service was not stored')
  const image = { registry, name: release.name, digest }
  await attachSbom(stack, image, { progress, signal })
  return image
}

async function publishedImage(place: Destination, head: SourceHead | undefined): Promise<Image> {
  const repository = await openDestination(place)
  const digest = await publishedDigest(stack, repository, head?.sha ?? '')
  if (digest !== undefined) return { ...repository, digest }
  const why = `${place.host}/${place.name} has no image of this commit with signed statements`
  throw new UserError({ what: 'Cannot take an image from there', why, next: 'Run npm run image with --to it first' })
}
