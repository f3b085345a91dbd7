/** What an image is: where it comes from, what it is built of, and what is stored of it. No behaviour lives here. */

export type Digest = `sha256:${string}`

/** An image: pulled from upstream where a registry answers, else built from source. */
export interface ImageSpec {
  /** Repository path as the manifests name it, without its registry: `argoproj/argocd`. */
  readonly name: string
  readonly tag: string
  /** Where the image is pulled from; absent for images of our own, which are always built. */
  readonly upstream?: { readonly ref: string; readonly digest?: Digest }
  /** Absent for an image that nothing here can build: where it cannot be pulled, its part is left out. */
  readonly build?: ImageBuild
  /** How a built image differs from upstream's; printed. */
  readonly deviation?: string
}

export interface ImageBuild {
  /** Folder of the Dockerfile and of what it copies, relative to the project's root. */
  readonly context: string
  /** @default 'Dockerfile' */
  readonly dockerfile?: string
  /** Files and folders of the context that count; everything else is left out. @default none but the Dockerfile */
  readonly files?: readonly string[]
  /** What is made elsewhere and laid into the context. */
  readonly inputs?: readonly ImageInput[]
  /** Handed to the Dockerfile as the build argument BASE. */
  readonly base?: ImageSpec
}

/** What is laid into a build context at the path `to`. */
export type ImageInput =
  | ({ readonly kind: 'go'; readonly to: string } & GoBinary)
  /** A file of a Go module's own folder, at the version that `goMod` pins. */
  | { readonly kind: 'module-file'; readonly to: string; readonly goMod: string; readonly module: string; readonly from: string }
  /** A minimal Debian as a tar archive. */
  | { readonly kind: 'debian'; readonly to: string; readonly suite: string }
  /** The Node that npm packs for the engine's platform. */
  | { readonly kind: 'node-binary'; readonly to: string }
  /** A script and all it imports, in one file. */
  | { readonly kind: 'bundle'; readonly to: string; readonly entry: string }
  /** An image as a `docker save` archive under the name `as`. */
  | { readonly kind: 'image-archive'; readonly to: string; readonly image: ImageSpec; readonly as: string }

export interface GoBinary {
  /** Folder with the go.mod and go.sum that pin the build, relative to the project's root. */
  readonly goMod: string
  readonly package: string
  readonly ldflags?: readonly string[]
  readonly tags?: readonly string[]
  /** Folder of a go.mod and go.sum that pin another build of the same sources. @default the sources' own */
  readonly pins?: string
}

/** An image in the registry, as manifests name it. */
export interface StoredImage {
  readonly spec: ImageSpec
  /** The key of all that went into it. */
  readonly key: string
  readonly digest: Digest
  readonly way: 'pulled' | 'built'
}
