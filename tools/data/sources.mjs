// Where the example texts come from: packages pinned by version and SHA-256, the sources drawn from them, and
// how much of each source is kept. `licence` is that of the TEXT, not of the packaging around it.

/**
 * Debian packages, fetched with `apt-get download NAME=VERSION` and unpacked with `dpkg -x`.
 * `sha256` is that of the `.deb`; for a package that differs by architecture it is that of amd64.
 */
export const DEBIAN_PACKAGES = [
  {
    name: 'postgresql-doc-15',
    version: '15.20-0+deb12u1',
    sha256: '4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7',
    licence: 'PostgreSQL',
    notice: 'postgresql.txt',
  },
  {
    name: 'sqlite3-doc',
    version: '3.40.1-2+deb12u2',
    sha256: '466e30d7066e2641fa13e56bc662a2ad521b8cc9c17dde9c9dac3d4f105e32f2',
    licence: 'public domain',
    notice: 'sqlite.txt',
  },
  {
    name: 'libpython3.11-stdlib',
    version: '3.11.2-6+deb12u9',
    sha256: '10f13e000ee757f5f2d2d3569f9e30546214a0c850acd78695feae373bfa3e53',
    licence: 'PSF-2.0',
    notice: 'python.txt',
  },
  {
    name: 'nodejs-doc',
    version: '18.20.4+dfsg-1~deb12u3',
    sha256: 'd2fbd4f3aecccea9d901a03842ef8380379e0d33010a48af5e797ed68ae874ce',
    licence: 'MIT',
    notice: 'nodejs.txt',
  },
  {
    name: 'dict-jargon',
    version: '4.4.7-3.1',
    sha256: '405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1',
    licence: 'public domain',
    notice: 'jargon.txt',
  },
  {
    name: 'bible-kjv-text',
    version: '4.38',
    sha256: 'd61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a',
    licence: 'public domain',
    notice: 'bible-kjv.txt',
  },
]

/** npm packages, fetched with `npm pack NAME@VERSION`; `files` are the readable sources inside the package. */
export const NPM_PACKAGES = [
  {
    name: 'acorn',
    version: '8.15.0',
    sha256: 'e46eae89bd9761f16d1d25563b837b55b4b78f3ece06ee0b9789cb2644f523b3',
    licence: 'MIT',
    files: /^dist\/acorn\.mjs$/,
  },
  {
    name: 'commander',
    version: '14.0.3',
    sha256: '5849703c500e0f324eb01340d8bda1f9ec48fc37bb7be9712eb0dd52aad92f6c',
    licence: 'MIT',
    files: /^lib\/.*\.js$/,
  },
  {
    name: 'd3-geo',
    version: '3.1.1',
    sha256: 'fe1f2dd81a87d942790c5a7786f4aab03df2b357d46d8af56b613fb8a1bb9be5',
    licence: 'ISC',
    files: /^src\/.*\.js$/,
  },
  {
    name: 'd3-hierarchy',
    version: '3.1.2',
    sha256: '7681875f06440c088afda1fd834d853dd560166c945e731382ee0c636332360b',
    licence: 'ISC',
    files: /^src\/.*\.js$/,
  },
  {
    name: 'express',
    version: '5.1.0',
    sha256: 'dd6bdb4d4e54d520c78443d5c35aa4ae552be1837e8650d2ec1641df99393e1b',
    licence: 'MIT',
    files: /^lib\/.*\.js$/,
  },
  {
    name: 'immutable',
    version: '5.1.5',
    sha256: '04fdc8eeb5139b776248bf6e7b96d7b3aa38ec7b2e7491ce717c7c77c59d82a5',
    licence: 'MIT',
    files: /^dist\/immutable\.es\.js$/,
  },
  {
    name: 'lodash',
    version: '4.17.21',
    sha256: '6a087ac9e5702a0c9d60fbcd48696012646ec8df1491dea472b150e79fcaf804',
    licence: 'MIT',
    files: /^lodash\.js$/,
  },
  {
    name: 'postcss',
    version: '8.5.6',
    sha256: '21595b4d4c069b22358bf7eb861b6807e0c55645ebf7605c673ae27650a0f94d',
    licence: 'MIT',
    files: /^lib\/.*\.js$/,
  },
  {
    name: 'preact',
    version: '10.29.0',
    sha256: 'ed443acfdf6f9135e53a896a2b3f7c4b2f891a8552088bee442ad68780bb38f3',
    licence: 'MIT',
    files: /^(src|compat\/src|debug\/src|hooks\/src)\/.*\.js$/,
  },
  {
    name: 'underscore',
    version: '1.13.7',
    sha256: 'a252090ea284c52edc7c8a90e05cf97fb56e2d151a1e70c203e8ec27eb50cd66',
    licence: 'MIT',
    files: /^modules\/.*\.js$/,
  },
  {
    name: 'uplot',
    version: '1.6.32',
    sha256: '4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d',
    licence: 'MIT',
    files: /^dist\/uPlot\.esm\.js$/,
  },
]

/**
 * The sources of the corpus. `trainCharacters`, `heldoutCharacters`: how much text each split gets at most;
 * `anchors`: how many anchor passages (one source only). `what` and `packages` go into examples/README.md.
 */
export const SOURCES = [
  {
    name: 'sql-commands',
    what: 'PostgreSQL reference pages of the SQL commands (the anchored source)',
    packages: ['postgresql-doc-15'],
    trainCharacters: 290_000,
    heldoutCharacters: 70_000,
    anchors: 80,
  },
  {
    name: 'postgres-manual',
    what: 'the other chapters of the PostgreSQL manual (sibling of the anchored source)',
    packages: ['postgresql-doc-15'],
    trainCharacters: 640_000,
    heldoutCharacters: 40_000,
    anchors: 0,
  },
  {
    name: 'sqlite-manual',
    what: 'SQLite manual: SQL language, C interface, internals (sibling of the anchored source)',
    packages: ['sqlite3-doc'],
    trainCharacters: 640_000,
    heldoutCharacters: 40_000,
    anchors: 0,
  },
  {
    name: 'python-code',
    what: 'modules of the Python 3.11 standard library',
    packages: ['libpython3.11-stdlib'],
    trainCharacters: 640_000,
    heldoutCharacters: 36_000,
    anchors: 0,
  },
  {
    name: 'javascript-code',
    what: 'JavaScript libraries',
    packages: NPM_PACKAGES.map((each) => each.name),
    trainCharacters: 640_000,
    heldoutCharacters: 36_000,
    anchors: 0,
  },
  {
    name: 'node-manual',
    what: 'Node.js 18 API documentation, Markdown',
    packages: ['nodejs-doc'],
    trainCharacters: 540_000,
    heldoutCharacters: 40_000,
    anchors: 0,
  },
  {
    name: 'jargon-file',
    what: 'The Jargon File 4.4.7: a dictionary of hacker slang, in prose',
    packages: ['dict-jargon'],
    trainCharacters: 480_000,
    heldoutCharacters: 36_000,
    anchors: 0,
  },
  {
    name: 'king-james-bible',
    what: 'King James Version, verses run together by chapter',
    packages: ['bible-kjv-text'],
    trainCharacters: 480_000,
    heldoutCharacters: 36_000,
    anchors: 0,
  },
]

/** The deliberately bad source, made from surplus documents of the others; six kinds in equal numbers of characters. */
export const NOISE = {
  name: 'noise',
  what: 'DELIBERATELY BAD TEXT made from documents that no other file holds',
  trainCharacters: 630_000,
  heldoutCharacters: 24_000,
}
