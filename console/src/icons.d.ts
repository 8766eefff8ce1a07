declare module "icon:*" {
  const shapes: [string, Record<string, string>][];
  export default shapes;
}
declare module "*.css";
