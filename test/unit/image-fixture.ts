/** An image made without an engine: an OCI layout of one layer. https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '#kit/hash'
import { createTree, type Tree } from './tree-fixture.ts'

export interface Layout {
  readonly files: Readonly<Record<string, string>>
  readonly user?: string
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

export function createLayout({ files, user = '' }: Layout): Tree {
  using content = createTree(files)
  const layout = createTree({ 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' })
  mkdirSync(join(layout.path, 'blobs', 'sha256'), { recursive: true })
  const store = (mediaType: string, blob: string | Buffer) => {
    const hex = sha256(blob)
    writeFileSync(join(layout.path, 'blobs', 'sha256', hex), blob)
    return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(blob) }
  }
  const tar = join(content.path, '..', `${sha256(content.path)}.tar`)
  execFileSync('tar', ['--create', '--file', tar, '--directory', content.path, '.'])
  const layer = store('application/vnd.oci.image.layer.v1.tar', readFileSync(tar))
  execFileSync('rm', [tar])
  const config = { architecture: 'amd64', os: 'linux', config: { User: user }, rootfs: { type: 'layers', diff_ids: [layer.digest] } }
  const configured = store('application/vnd.oci.image.config.v1+json', JSON.stringify(config))
  const manifest = store(MANIFEST, JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: configured, layers: [layer] }))
  writeFileSync(join(layout.path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }))
  return layout
}
