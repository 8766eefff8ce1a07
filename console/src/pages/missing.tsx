import { Empty, Head, useTitle } from "../ui/parts";
import { A } from "../ui/text";

export default function Missing() {
  useTitle("Nothing here");
  return <><Head title="Nothing here" /><Empty icon="search" title="There is nothing at this address">It may have been one that you are not to see. <A to="/">Go home</A>, or press <kbd>/</kbd> to find something.</Empty></>;
}
