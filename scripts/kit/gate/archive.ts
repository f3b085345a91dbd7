/** An image on disk, as the image gate reads it: what `docker save` writes, or an OCI layout. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageSpec } from '../../core/types.ts'
import { docker } from '../docker.ts'
import { exec } from '../exec.ts'
import { Images } from '../images.ts'
import { createOnce } from '../limit.ts'
import type { Progress } from '../progress.ts'
import { roomyFolder } from '../temporary.ts'
import type { ImageConfig } from '../variant.ts'
import { have } from './gate.ts'

export interface ImageArchive {
  /** As syft names it. */
  readonly kind: 'docker-archive' | 'oci-dir'
  /** A file, or a folder. */
  readonly path: string
}

export type Obtained = ImageArchive & AsyncDisposable
export type ObtainImage = (signal?: AbortSignal) => Promise<Obtained>

/** The check that waits for it is shown, and its steps are not. */
export const silent: Progress = {
  timings: [],
  say: () => {},
  step: (_title, work) => work(() => {}),
  round: async (_title, work) => void (await work(silent)),
  [Symbol.dispose]: () => {},
}

/** The image as the engine has it; built where it has it not, once for all who ask. @returns a way that throws Unavailable where there is no engine */
export function savedImage(spec: ImageSpec): ObtainImage {
  const once = createOnce<string>()
  return async (signal = new AbortController().signal) => {
    const { path: folder, [Symbol.asyncDispose]: dispose } = await roomyFolder('image')
    try {
      await have(() => docker(['version', '--format', '{{.Server.Version}}'], { signal }), signal)
      const ref = await once('ref', async () => (await new Images({ progress: silent, signal }).local(spec)).ref)
      const path = join(folder, 'image.tar')
      await docker(['save', '--output', path, ref], { signal })
      return { kind: 'docker-archive', path, [Symbol.asyncDispose]: dispose }
    } catch (thrown) {
      await dispose()
      throw thrown
    }
  }
}

/** What its containers are started with. */
export async function readImageConfig({ kind, path }: ImageArchive): Promise<ImageConfig> {
  const json = async (name: string) => {
    const text = kind === 'oci-dir' ? await readFile(join(path, name), 'utf8') : (await exec('tar', ['-xOf', path, name])).stdout
    return JSON.parse(text)
  }
  if (kind === 'docker-archive') {
    const [{ Config }] = await json('manifest.json')
    return (await json(Config)).config ?? {}
  }
  const blob = (digest: string) => json(join('blobs', ...digest.split(':')))
  const [first] = (await json('index.json')).manifests
  const manifest = await blob(first.digest)
  return (await blob(manifest.config.digest)).config ?? {}
}
