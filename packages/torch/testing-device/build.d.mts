/** See build.mjs. */
export declare function buildTestingDevice(
  env?: Readonly<Record<string, string | undefined>>,
): Promise<string>
